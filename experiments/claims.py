"""The runs a worker has taken on: claimed at once, and given back if they cannot be finished.

A claim is a token, written into the documents of several runs by one update that matches only runs still PENDING; of two
workers that want the same run one gets it. Whatever is written to a claimed run later matches the token and RUNNING, so
that a run cancelled, reset or deleted meanwhile stays as it is.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import dataclass

from pymongo.errors import PyMongoError

from experiments.database import Document, Runs, connect
from experiments.errors import UserError
from experiments.supervisor import Assignment

PENDING, RUNNING, COMPLETED, FAILED = "PENDING", "RUNNING", "COMPLETED", "FAILED"

OF_AN_ATTEMPT = [
    *("claim", "experiment", "format", "command", "host", "start_time", "stop_time", "meta", "resources", "artifacts"),
    *("captured_out", "info", "heartbeat", "result", "fail_trace"),
    *("execution.array_id", "execution.task_id", "execution.slurm_output_file", "execution.reschedule_file"),
]
"""What a document says about one attempt at its run. A PENDING run with a task id or a stop time would count as KILLED."""

GIVEN_BACK = {"$set": {"status": PENDING}, "$unset": dict.fromkeys(OF_AN_ATTEMPT, "")}
LOG_LINES = 40


@dataclass(frozen=True)
class Claims:
    """The runs of a collection that carry a worker's token."""

    runs: Runs
    assignment: Assignment

    def take(self, leader: Document, companions: Document, ids: Iterable[int]) -> set[int]:
        """Claim the leader and those of ``ids`` that still match ``companions``; which runs carry the token now."""
        ids = list(ids)
        started_by_seml = {"_id": leader["_id"], "status": RUNNING}
        update = {
            "status": RUNNING,
            "execution": leader.get("execution", {}),
            "claim": {"token": self.assignment.token, "leader": leader["_id"], "time": now()},
        }
        self.runs.update_many({"$or": [started_by_seml, {**companions, "_id": {"$in": ids}}]}, {"$set": update})
        return {document["_id"] for document in self.runs.find(self.held([leader["_id"], *ids]), {"_id": 1})}

    def held(self, ids: Iterable[int] | None = None) -> Document:
        """The filter of what is still this worker's to write to, among ``ids`` or in the whole collection."""
        among = {} if ids is None else {"_id": {"$in": list(ids)}}
        return {**among, "status": RUNNING, "claim.token": self.assignment.token}

    def give_back(self, ids: Iterable[int] | None = None) -> int:
        """Make runs PENDING as they were before the claim; how many there were."""
        return self.runs.update_many(self.held(ids), GIVEN_BACK).modified_count

    def settle(self, code: int, *, stopped: bool) -> str:
        """Put in order what a worker process left behind that ended with ``code``; say what was done.

        Its companions are given back. So is its leader if the worker was asked to stop; else the leader has FAILED, with
        the end of the worker's log as its trace.
        """
        how = f"with exit code {code}" if code > 0 else f"by signal {-code}"
        token = self.assignment.token
        leader = {"_id": self.assignment.leader, "status": RUNNING, "claim.token": {"$in": [token, None]}}
        if stopped:
            given_back = self.runs.update_one(leader, GIVEN_BACK).modified_count
        else:
            trace = [f"the worker ended {how}; the end of its log:\n", *self._log()]
            self.runs.update_one(leader, {"$set": {"status": FAILED, "stop_time": now(), "fail_trace": trace}})
            given_back = 0
        given_back += self.give_back()
        return f"the worker ended {how}; {given_back} of its runs are PENDING again"

    def _log(self) -> list[str]:
        document = self.runs.find_one({"_id": self.assignment.leader}, {"seml.output_file": 1}) or {}
        try:
            with open(document["seml"]["output_file"], errors="replace") as log:
                return log.readlines()[-LOG_LINES:]
        except (KeyError, OSError):
            return ["(there is no log)\n"]


def settle(assignment: Assignment, code: int, *, stopped: bool) -> None:
    """:meth:`Claims.settle` for a process that knows its assignment only."""
    try:
        print(Claims(connect()[assignment.collection], assignment).settle(code, stopped=stopped), flush=True)
    except (PyMongoError, UserError) as error:
        print(f"the claims of a worker that failed could not be given back: {error}", flush=True)


def now() -> datetime.datetime:
    """The present time, as documents hold it."""
    return datetime.datetime.now(datetime.UTC)
