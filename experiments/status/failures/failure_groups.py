"""Failures grouped by cause: runs that are FAILED now, and all attempts that ended without a result."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from pymongo.database import Database

from experiments.database.connection import Document
from experiments.database.run_collections import ATTEMPTS
from experiments.database.run_status import FAILED
from experiments.status.failures.causes import cause_of, normalised
from experiments.worker.records.history import GIVEN_BACK, LOST

WORDS = {FAILED: "", GIVEN_BACK: "given back: ", LOST: "lost: "}
"""How the cause of an attempt begins, by its end."""

OF_AN_ATTEMPT = {"collection": 1, "run": 1, "token": 1, "host": 1, "end": 1, "reason": 1, "trace": 1}
OF_A_RUN = {"claim.token": 1, "claim.host": 1, "host.hostname": 1, "fail_trace": 1}


@dataclass(frozen=True)
class Ended:
    """An attempt that ended without a result. ``host`` and ``token`` are None where they were not noted."""

    collection: str
    run: int
    token: str | None
    host: str | None
    end: str
    cause: str


@dataclass
class Group:
    """The failures of one cause.

    Attributes
    ----------
    end
        ``FAILED``, ``LOST`` or ``GIVEN_BACK``.
    failed
        Ids of the runs that are FAILED now, by collection.
    attempts
        How many attempts ended so.
    touched
        The runs that had such an attempt.
    nodes
        Attempts by node.
    """

    cause: str
    end: str
    example: Ended
    failed: dict[str, list[int]] = field(default_factory=dict)
    attempts: int = 0
    touched: set[tuple[str, int]] = field(default_factory=set)
    nodes: Counter[str] = field(default_factory=Counter)

    @property
    def failed_count(self) -> int:
        return sum(map(len, self.failed.values()))

    def add(self, ended: Ended, *, failed: bool) -> None:
        """Count an attempt; ``failed``: its run is FAILED because of it."""
        self.attempts += 1
        self.touched.add((ended.collection, ended.run))
        if ended.host:
            self.nodes[ended.host] += 1
        if failed and not self.failed:
            self.example = ended
        if failed:
            self.failed.setdefault(ended.collection, []).append(ended.run)


def grouped(database: Database[Document], collections: Sequence[str]) -> list[Group]:
    """The failures of some collections by cause: first what runs are FAILED of now, the most frequent first."""
    groups: dict[tuple[str, str], Group] = {}
    for collection in collections:
        for ended, failed in _of_collection(database, collection):
            group = groups.setdefault((ended.end, ended.cause), Group(ended.cause, ended.end, ended))
            group.add(ended, failed=failed)
    return sorted(groups.values(), key=lambda group: (-group.failed_count, -group.attempts, group.cause))


def _of_collection(database: Database[Document], collection: str) -> Iterator[tuple[Ended, bool]]:
    """Every attempt that ended without a result, once, and whether its run is FAILED because of it."""
    runs = database[collection]
    waiting = {
        (run["_id"], run.get("claim", {}).get("token")) for run in runs.find({"status": FAILED}, {"claim.token": 1})
    }
    for attempt in database[ATTEMPTS].find({"collection": collection}, OF_AN_ATTEMPT):
        ended = _of_attempt(attempt)
        failed = ended.end == FAILED and (ended.run, ended.token) in waiting
        waiting.discard((ended.run, ended.token))
        yield ended, failed
    if waiting:
        unnoted = {"_id": {"$in": sorted(run for run, _ in waiting)}, "status": FAILED}
        for run in runs.find(unnoted, OF_A_RUN):
            yield _of_run(collection, run), True


def _of_attempt(attempt: Document) -> Ended:
    host, end = attempt.get("host"), attempt["end"]
    reason = cause_of(attempt["trace"], host) if attempt.get("trace") else normalised(attempt["reason"], host)
    return Ended(attempt["collection"], attempt["run"], attempt["token"], host, end, WORDS.get(end, "") + reason)


def _of_run(collection: str, run: Document) -> Ended:
    claim = run.get("claim", {})
    host = claim.get("host") or run.get("host", {}).get("hostname")
    cause = cause_of(run.get("fail_trace") or (), host)
    return Ended(collection, run["_id"], claim.get("token"), host, FAILED, cause)
