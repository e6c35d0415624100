"""Leases of runs: a worker acquires several runs at once, renews their leases, and releases runs that it cannot finish.

A lease is stored in the field ``claim`` of a run's document. It holds a token of the worker and the time, by the
database's clock, until which the worker must renew it. A single update writes the token to several runs and matches
only runs that are still PENDING. If two workers want the same run, only one of them therefore gets it. Every later
write by the worker matches the token and the status RUNNING, so that a run that was cancelled, reset or deleted is not
changed. Only spooled results are also written to KILLED runs, and to released runs that no other worker has leased
(:mod:`experiments.worker.delivery.spool`). If a worker does not renew its leases,
:mod:`experiments.worker.recovery.lost_workers` removes the token and makes the runs PENDING again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from pymongo import UpdateMany, UpdateOne

from experiments import slurm
from experiments.database.connection import Document, Runs
from experiments.database.run_status import PENDING, RUNNING, STAGED
from experiments.worker.assignment import Assignment

LEASE_SECONDS = 300.0
"""Default duration of a lease: the time without a heartbeat after which it expires.

The worker is lost after a further fifth of this time (:data:`experiments.worker.recovery.lost_workers.GRACE`).
"""

RUNS_PER_UPDATE = 256
"""The largest number of runs in one update. The embedded database searches the list of ids for each run."""

ATTEMPT_FIELDS = [
    *("claim", "suspected", "experiment", "format", "command", "host", "start_time", "stop_time", "meta", "resources"),
    *("artifacts", "captured_out", "info", "heartbeat", "result", "fail_trace"),
    *(f"execution.{name}" for name in ("array_id", "task_id", "slurm_output_file", "reschedule_file")),
]
"""Fields of a document that describe one attempt at its run. They are removed when the run is released.

If a task id or a stop time remained, SEML would set a PENDING run to KILLED.
"""

UNCLAIMED: Document = {"claim": {"$exists": False}}
"""The filter of runs without a lease."""

START_FIELDS = (
    *("execution", "fail_trace"),
    *(f"slurm.$[].{name}" for name in ("array_id", "num_tasks", "output_files_template", "reschedule_file")),
    *(f"slurm.$[].sbatch_options.{name}" for name in ("job-name", "output", "array", "comment")),
)
"""Fields that describe one start of a run; SEML does not start a run again while it has them."""
RESTAGED = {"$set": {"status": STAGED}, "$unset": dict.fromkeys(START_FIELDS, "")}
"""The update that makes a run without a lease STAGED: it waits for the next start."""


def release_update(token: str | None) -> Document:
    """The update that makes a run PENDING and restores its document to the state before ``token`` leased it.

    The token is stored as ``returned_by``: a result of this worker that arrives later can then still be written to the
    run.
    """
    returned_by = {"returned_by": token} if token else {}
    return {"$set": {"status": PENDING, **returned_by}, "$unset": dict.fromkeys(ATTEMPT_FIELDS, "")}


@dataclass(frozen=True)
class Leases:
    """The leases of one worker: the runs of a collection that carry its token."""

    runs: Runs
    assignment: Assignment
    lease_seconds: float = LEASE_SECONDS

    def acquire(self, leader: Document, companions: Document, ids: Collection[int]) -> set[int]:
        """Lease the leader, and those of ``ids`` that still match the filter ``companions``; return the leased ids.

        A companion's ``execution`` names the cluster, but not the leader's Slurm task. Otherwise `seml cancel` of one
        companion would cancel the task, and with it the whole pack. The task is stored in ``claim.execution``.
        """
        execution = leader.get("execution", {})
        claim = {
            "token": self.assignment.token,
            "leader": leader["_id"],
            "time": "$$NOW",
            "lease": self._lease,
            "lease_seconds": self.lease_seconds,
            "execution": {"$literal": execution},
            "host": {"$literal": slurm.node_name()},
        }
        cluster = {"$literal": {"cluster": execution.get("cluster", "local")}}
        own_or_none = {"claim.token": {"$in": [self.assignment.token, None]}}
        leader_filter = {"_id": leader["_id"], "status": RUNNING, **own_or_none}
        lease = _set({"status": RUNNING, "claim": claim, "execution": cluster})
        self.runs.bulk_write([
            UpdateOne(leader_filter, _set({"claim": claim})),
            *(UpdateMany({**some_ids, **companions}, lease) for some_ids in _id_filters(ids)),
        ])  # fmt: skip
        return {document["_id"] for document in self.runs.find(self.held([leader["_id"], *ids]), {"_id": 1})}

    def renew(self, ids: Collection[int], **info: Any) -> int:
        """Renew the leases in the range of ``ids`` for their full duration; return the number of runs still held.

        ``info`` is written to the documents' field ``info``.
        """
        fields = {"heartbeat": "$$NOW", "claim.lease": self._lease}
        fields |= {f"info.{name}": {"$literal": value} for name, value in info.items()}
        return self.runs.update_many(self.held(ids), _set(fields)).matched_count

    def held(self, ids: Collection[int] = ()) -> Document:
        """The filter of the runs that this worker still holds, in the whole collection or in the range of ``ids``.

        The filter compares with the range from the smallest to the largest id. This is faster than a list of ids, and
        an index that contains ``_id`` can be used.
        """
        id_range = {"_id": {"$gte": min(ids), "$lte": max(ids)}} if ids else {}
        return {**id_range, "status": RUNNING, "claim.token": self.assignment.token}

    def held_run(self, run: int) -> Document:
        """The filter of one run, which matches as long as this worker holds it."""
        return {"_id": run, "status": RUNNING, "claim.token": self.assignment.token}

    def release(self, ids: Collection[int] = ()) -> int:
        """Make all held runs PENDING again, or only those in the range of ``ids``; return their number."""
        return self.runs.update_many(self.held(ids), release_update(self.assignment.token)).modified_count

    @property
    def _lease(self) -> Document:
        """The end of a lease that starts now, as an expression that the database evaluates."""
        return {"$add": ["$$NOW", round(1000 * self.lease_seconds)]}


def _id_filters(ids: Collection[int]) -> Iterator[Document]:
    """Filters that together match ``ids``, each at most RUNS_PER_UPDATE of them.

    The embedded database reads only these runs if a plain list of ids is the first condition, else all pending runs.
    """
    ordered = sorted(ids)
    for start in range(0, len(ordered), RUNS_PER_UPDATE):
        yield {"_id": {"$in": ordered[start : start + RUNS_PER_UPDATE]}}


def _set(fields: Document) -> list[Document]:
    """The update pipeline that sets fields and removes the mark ``suspected``, since the worker is alive."""
    return [{"$set": fields}, {"$unset": ["suspected"]}]
