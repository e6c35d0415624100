"""The runs a worker has taken on: claimed at once, and given back if they cannot be finished.

A claim is a token, written into the documents of several runs by one update that matches only runs still
PENDING; of two workers that want the same run one gets it. Whatever is written to a claimed run later matches the
token and RUNNING, so that a run cancelled, reset or deleted meanwhile stays as it is.

A claim is a lease, too: it names the time, by the database's clock, until which its owner must have said that it is
alive. Of an owner that did not, :mod:`experiments.worker.recovery.lost_workers` takes the runs away, and with them the token.
"""

from __future__ import annotations

import socket
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from pymongo import UpdateMany, UpdateOne

from experiments.database.connection import Document, Runs
from experiments.database.run_status import PENDING, RUNNING
from experiments.worker.assignment import Assignment

LEASE_SECONDS = 300.0
"""Without a sign of life for so long an owner counts as dead."""

RUNS_PER_UPDATE = 256
"""So many of the runs in a list are claimed by one update: the embedded database looks each up in the whole list."""

ATTEMPT_FIELDS = [
    *("claim", "suspected", "experiment", "format", "command", "host", "start_time", "stop_time", "meta", "resources"),
    *("artifacts", "captured_out", "info", "heartbeat", "result", "fail_trace"),
    *(f"execution.{name}" for name in ("array_id", "task_id", "slurm_output_file", "reschedule_file")),
]
"""These fields of a document tell of one attempt at its run, and go when the run is given back.

With a task id or a stop time left in it, SEML would take a PENDING run for KILLED.
"""

UNCLAIMED: Document = {"claim": {"$exists": False}}


def release_update(token: str | None) -> Document:
    """The update that makes a run PENDING again, as it was before ``token`` claimed it.

    The token stays known as ``returned_by``: a result of its owner that turns up later belongs to this run.
    """
    known = {"returned_by": token} if token else {}
    return {"$set": {"status": PENDING, **known}, "$unset": dict.fromkeys(ATTEMPT_FIELDS, "")}


@dataclass(frozen=True)
class Leases:
    """The runs of a collection that carry a worker's token."""

    runs: Runs
    assignment: Assignment
    lease_seconds: float = LEASE_SECONDS

    def acquire(self, leader: Document, companions: Document, ids: Collection[int]) -> set[int]:
        """Claim the leader and those of ``ids`` that still match ``companions``; return those now claimed.

        Companions name the cluster but not the leader's Slurm task: `seml cancel` of one run would end the task, and
        with it the pack. The task stands in ``claim.execution``.
        """
        execution = leader.get("execution", {})
        claim = {
            "token": self.assignment.token,
            "leader": leader["_id"],
            "time": "$$NOW",
            "lease": self._lease,
            "execution": {"$literal": execution},
            "host": {"$literal": socket.gethostname()},
        }
        cluster = {"$literal": {"cluster": execution.get("cluster", "local")}}
        mine_or_nobodys = {"claim.token": {"$in": [self.assignment.token, None]}}
        leads = {"_id": leader["_id"], "status": RUNNING, **mine_or_nobodys}
        taken = _set({"status": RUNNING, "claim": claim, "execution": cluster})
        self.runs.bulk_write([
            UpdateOne(leads, _set({"claim": claim})),
            *(UpdateMany({**companions, **among}, taken) for among in _in_parts(ids)),
        ])  # fmt: skip
        return {document["_id"] for document in self.runs.find(self.held([leader["_id"], *ids]), {"_id": 1})}

    def renew(self, ids: Collection[int], **info: Any) -> int:
        """Give the lease of runs in the range of ``ids`` its full time again; return the number of those still held.

        ``info`` goes into the documents' ``info``.
        """
        alive = {"heartbeat": "$$NOW", "claim.lease": self._lease}
        alive |= {f"info.{name}": {"$literal": value} for name, value in info.items()}
        return self.runs.update_many(self.held(ids), _set(alive)).matched_count

    def held(self, ids: Collection[int] = ()) -> Document:
        """The filter of what is still this worker's to write to, in the whole collection or in the range of ``ids``.

        A range is compared faster than a list, and the index on ``_id`` serves both.
        """
        among = {"_id": {"$gte": min(ids), "$lte": max(ids)}} if ids else {}
        return {**among, "status": RUNNING, "claim.token": self.assignment.token}

    def held_run(self, run: int) -> Document:
        """The filter of one run, as long as it is this worker's."""
        return {"_id": run, "status": RUNNING, "claim.token": self.assignment.token}

    def release(self, ids: Collection[int] = ()) -> int:
        """Make runs PENDING as they were before the claim, all or in the range of ``ids``; return their number."""
        return self.runs.update_many(self.held(ids), release_update(self.assignment.token)).modified_count

    @property
    def _lease(self) -> Document:
        return {"$add": ["$$NOW", round(1000 * self.lease_seconds)]}


def _in_parts(ids: Collection[int]) -> Iterator[Document]:
    """Filters of the runs with these ids, for some of them each."""
    ordered = sorted(ids)
    for start in range(0, len(ordered), RUNS_PER_UPDATE):
        part = ordered[start : start + RUNS_PER_UPDATE]
        yield {"_id": {"$gte": part[0], "$lte": part[-1], "$in": part}}


def _set(fields: Document) -> list[Document]:
    """The update, as the database computes it, that sets fields of runs whose owner is thereby known to live."""
    return [{"$set": fields}, {"$unset": ["suspected"]}]
