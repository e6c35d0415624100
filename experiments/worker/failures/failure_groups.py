"""Groups of failures with the same cause: runs that are FAILED now, and all unsuccessful attempts of the history.

An unsuccessful attempt is one that ended without a result: the run failed, its worker released it, or the worker was
lost.
"""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from pymongo.database import Database

from experiments.database.connection import Document
from experiments.database.run_collections import ATTEMPTS
from experiments.database.run_status import FAILED
from experiments.worker.records.causes import cause_of, normalised
from experiments.worker.records.history import GIVEN_BACK, LOST

PREFIXES = {FAILED: "", GIVEN_BACK: "released: ", LOST: "lost: "}
"""Prefix of an attempt's cause, by the way in which the attempt ended."""

ATTEMPT_FIELDS = {"collection": 1, "run": 1, "token": 1, "host": 1, "ended": 1, "end": 1, "reason": 1, "trace": 1}
RUN_FIELDS = {"claim.token": 1, "claim.host": 1, "host.hostname": 1, "stop_time": 1, "fail_trace": 1}


@dataclass(frozen=True)
class UnsuccessfulAttempt:
    """An attempt at a run that ended without a result: ``end`` is ``FAILED``, ``LOST`` or ``GIVEN_BACK``.

    The token of the worker, the node (``host``) and the time are None if they were not recorded.
    """

    collection: str
    run: int
    token: str | None
    host: str | None
    ended: datetime.datetime | None
    end: str
    cause: str


@dataclass
class FailureGroup:
    """The failures of one cause: the attempts that ended with it, their runs, workers, and their numbers by node.

    ``failed`` has the ids of the runs that are FAILED now because of this cause, by collection. ``example`` is one of
    the attempts, if possible at one of these runs.
    """

    example: UnsuccessfulAttempt
    failed: dict[str, list[int]] = field(default_factory=dict)
    attempts: int = 0
    runs: set[tuple[str, int]] = field(default_factory=set)
    nodes: Counter[str] = field(default_factory=Counter)
    workers: set[str] = field(default_factory=set)

    @property
    def cause(self) -> str:
        return self.example.cause

    @property
    def failed_count(self) -> int:
        """Number of runs that are FAILED now because of this cause."""
        return sum(map(len, self.failed.values()))

    def add(self, attempt: UnsuccessfulAttempt, *, failed: bool) -> None:
        """Count an attempt; ``failed``: its run is FAILED now because of this attempt."""
        self.attempts += 1
        self.runs.add((attempt.collection, attempt.run))
        if attempt.host:
            self.nodes[attempt.host] += 1
        if attempt.token:
            self.workers.add(attempt.token)
        if failed and not self.failed:
            self.example = attempt
        if failed:
            self.failed.setdefault(attempt.collection, []).append(attempt.run)


def grouped(
    database: Database[Document], collections: Sequence[str], since: datetime.datetime | None = None
) -> list[FailureGroup]:
    """The failures of some collections by cause, or only those after the time ``since``.

    Causes with the most runs that are FAILED now come first, then those with the most attempts.
    """
    groups: dict[tuple[str, str], FailureGroup] = {}
    for collection in collections:
        for attempt, failed in _attempts(database, collection):
            if since and attempt.ended and attempt.ended <= since:
                continue
            group = groups.setdefault((attempt.end, attempt.cause), FailureGroup(attempt))
            group.add(attempt, failed=failed)
    return sorted(groups.values(), key=lambda group: (-group.failed_count, -group.attempts, group.cause))


def _attempts(database: Database[Document], collection: str) -> Iterator[tuple[UnsuccessfulAttempt, bool]]:
    """Every unsuccessful attempt once, and whether its run is FAILED now because of it.

    Runs that are FAILED without an attempt in the history are added from their own documents.
    """
    runs = database[collection]
    failed_runs = {
        (run["_id"], run.get("claim", {}).get("token")) for run in runs.find({"status": FAILED}, {"claim.token": 1})
    }
    for document in database[ATTEMPTS].find({"collection": collection}, ATTEMPT_FIELDS):
        attempt = _from_history(document)
        failed = attempt.end == FAILED and (attempt.run, attempt.token) in failed_runs
        failed_runs.discard((attempt.run, attempt.token))
        yield attempt, failed
    if failed_runs:
        not_in_history = {"_id": {"$in": sorted(run for run, _ in failed_runs)}, "status": FAILED}
        for run in runs.find(not_in_history, RUN_FIELDS):
            yield _from_run(collection, run), True


def _from_history(attempt: Document) -> UnsuccessfulAttempt:
    host, end = attempt.get("host"), attempt["end"]
    reason = cause_of(attempt["trace"], host) if attempt.get("trace") else normalised(attempt["reason"], host)
    return UnsuccessfulAttempt(
        attempt["collection"],
        attempt["run"],
        attempt["token"],
        host,
        attempt["ended"],
        end,
        PREFIXES.get(end, "") + reason,
    )


def _from_run(collection: str, run: Document) -> UnsuccessfulAttempt:
    lease = run.get("claim", {})
    host = lease.get("host") or run.get("host", {}).get("hostname")
    cause = cause_of(run.get("fail_trace") or (), host)
    return UnsuccessfulAttempt(collection, run["_id"], lease.get("token"), host, run.get("stop_time"), FAILED, cause)
