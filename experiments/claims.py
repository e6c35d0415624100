"""The runs a worker has taken on: claimed at once, and given back if they cannot be finished.

A claim is a token, written into the documents of several runs by one update that matches only runs still
PENDING; of two workers that want the same run one gets it. Whatever is written to a claimed run later matches the
token and RUNNING, so that a run cancelled, reset or deleted meanwhile stays as it is.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from experiments.assignment import Assignment
from experiments.database import Document, Runs, now

PENDING, RUNNING, COMPLETED, FAILED = "PENDING", "RUNNING", "COMPLETED", "FAILED"

OF_AN_ATTEMPT = [
    *("claim", "experiment", "format", "command", "host", "start_time", "stop_time", "meta", "resources"),
    *("artifacts", "captured_out", "info", "heartbeat", "result", "fail_trace"),
    *(f"execution.{name}" for name in ("array_id", "task_id", "slurm_output_file", "reschedule_file")),
]
"""These fields of a document tell of one attempt at its run, and go when the run is given back.

With a task id or a stop time left in it, SEML would take a PENDING run for KILLED.
"""

GIVEN_BACK = {"$set": {"status": PENDING}, "$unset": dict.fromkeys(OF_AN_ATTEMPT, "")}
"""This update makes a claimed run PENDING again, as it was before the claim."""


@dataclass(frozen=True)
class Claims:
    """The runs of a collection that carry a worker's token."""

    runs: Runs
    assignment: Assignment

    def take(self, leader: Document, companions: Document, ids: Collection[int]) -> set[int]:
        """Claim the leader and those of ``ids`` that still match ``companions``; return those now claimed.

        Companions name the cluster but not the leader's Slurm task: `seml cancel` of one run would end the task, and
        with it the pack. The task stands in ``claim.execution``.
        """
        execution = leader.get("execution", {})
        claim = {"token": self.assignment.token, "leader": leader["_id"], "time": now(), "execution": execution}
        taken = {"status": RUNNING, "claim": claim, "execution": {"cluster": execution.get("cluster", "local")}}
        self.runs.update_one({"_id": leader["_id"], "status": RUNNING}, {"$set": {"claim": claim}})
        self.runs.update_many({**companions, "_id": {"$in": list(ids)}}, {"$set": taken})
        return {document["_id"] for document in self.runs.find(self.held([leader["_id"], *ids]), {"_id": 1})}

    def held(self, ids: Collection[int] = ()) -> Document:
        """The filter of what is still this worker's to write to, in the whole collection or in the range of ``ids``.

        A range is compared faster than a list, and the index on ``_id`` serves both.
        """
        among = {"_id": {"$gte": min(ids), "$lte": max(ids)}} if ids else {}
        return {**among, "status": RUNNING, "claim.token": self.assignment.token}

    def held_run(self, run: int) -> Document:
        """The filter of one run, as long as it is this worker's."""
        return {"_id": run, "status": RUNNING, "claim.token": self.assignment.token}

    def give_back(self, ids: Collection[int] = ()) -> int:
        """Make runs PENDING as they were before the claim, all or in the range of ``ids``; return their number."""
        return self.runs.update_many(self.held(ids), GIVEN_BACK).modified_count
