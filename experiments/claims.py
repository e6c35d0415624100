"""The runs a worker has taken on: claimed at once, and given back if they cannot be finished.

A claim is a token, written into the documents of several runs by one update that matches only runs still
PENDING; of two workers that want the same run one gets it. Whatever is written to a claimed run later matches the
token and RUNNING, so that a run cancelled, reset or deleted meanwhile stays as it is.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from pymongo.errors import PyMongoError

from experiments.database import Document, Runs, connect
from experiments.errors import UserError
from experiments.supervisor import Assignment

PENDING, RUNNING, COMPLETED, FAILED = "PENDING", "RUNNING", "COMPLETED", "FAILED"

OF_AN_ATTEMPT = [
    *("claim", "experiment", "format", "command", "host", "start_time", "stop_time", "meta", "resources"),
    *("artifacts", "captured_out", "info", "heartbeat", "result", "fail_trace"),
    *(f"execution.{name}" for name in ("array_id", "task_id", "slurm_output_file", "reschedule_file")),
]
"""What a document says about one attempt at its run.

With a task id or a stop time left in it, SEML would take a PENDING run for KILLED.
"""

GIVEN_BACK = {"$set": {"status": PENDING}, "$unset": dict.fromkeys(OF_AN_ATTEMPT, "")}
LOG_LINES = 40


@dataclass(frozen=True)
class Claims:
    """The runs of a collection that carry a worker's token."""

    runs: Runs
    assignment: Assignment

    def take(self, leader: Document, companions: Document, ids: Collection[int]) -> set[int]:
        """Claim the leader and those of ``ids`` that still match ``companions``; which runs carry the token now."""
        started_by_seml = {"_id": leader["_id"], "status": RUNNING}
        update = {
            "status": RUNNING,
            "execution": leader.get("execution", {}),
            "claim": {"token": self.assignment.token, "leader": leader["_id"], "time": now()},
        }
        self.runs.update_many({"$or": [started_by_seml, {**companions, "_id": {"$in": list(ids)}}]}, {"$set": update})
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
        """Make runs PENDING as they were before the claim, all or in the range of ``ids``; how many there were."""
        return self.runs.update_many(self.held(ids), GIVEN_BACK).modified_count

    def settle(self, code: int, *, stopped: bool) -> str:
        """Put in order what a worker process left behind that failed with ``code``; say what was done.

        Its companions are given back. So is its leader if the worker was asked to stop or the database was gone;
        else the leader has FAILED, with the end of the worker's log as its trace.
        """
        how = f"with exit code {code}" if code > 0 else f"by signal {-code}"
        token = self.assignment.token
        leader = {"_id": self.assignment.leader, "status": RUNNING, "claim.token": {"$in": [token, None]}}
        if stopped or code == os.EX_TEMPFAIL:
            given_back = self.runs.update_one(leader, GIVEN_BACK).modified_count
        else:
            trace = [f"the worker ended {how}; the end of its log:\n", *self._log()]
            failed = {"status": FAILED, "stop_time": now(), "fail_trace": trace}
            self.runs.update_one(leader, {"$set": failed})
            given_back = 0
        given_back += self.give_back()
        return f"the worker ended {how}; {given_back} of its runs are PENDING again"

    def _log(self) -> list[str]:
        document = self.runs.find_one({"_id": self.assignment.leader}, {"seml.output_file": 1}) or {}
        try:
            with Path(document["seml"]["output_file"]).open(errors="replace") as log:
                return log.readlines()[-LOG_LINES:]
        except (KeyError, OSError):
            return ["(there is no log)\n"]


def settle(assignment: Assignment, code: int, *, stopped: bool) -> None:
    """:meth:`Claims.settle` for a process that knows its assignment only."""
    try:
        said = Claims(connect()[assignment.collection], assignment).settle(code, stopped=stopped)
    except (PyMongoError, UserError) as error:
        said = f"what the worker had claimed could not be given back and stays RUNNING: {error}"
    print(said, flush=True)


def now() -> datetime.datetime:
    """The present time, as documents hold it."""
    return datetime.datetime.now(datetime.UTC)
