"""History of workers and of attempts at runs. `seml reset` and `seml delete` do not change it.

The history is stored in two collections next to the runs. ``walking_noise.workers`` has a document for each worker: its
host and device, its start and end, and the number of its runs by outcome. ``walking_noise.attempts`` has a document for
each attempt at a run that ended without a result, with the reason.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pymongo.errors import BulkWriteError

from experiments.database.connection import Document, Runs, server_time
from experiments.database.run_collections import ATTEMPTS, WORKERS
from experiments.worker.records.causes import MACHINE, cause_of, normalised

FAILED, GIVEN_BACK, LOST = "FAILED", "GIVEN_BACK", "LOST"
"""Ends of an attempt without a result: the run failed, its worker released it, or its worker was lost."""

DONE = "done"
"""The end of a worker whose runs all have an outcome."""

DUPLICATE_KEY = 11000
"""MongoDB's error code for a document whose ``_id`` exists already."""

NOT_OF_MACHINE = re.compile("killed for memory|: (CANCELLED|DEADLINE|OUT_OF_MEMORY|PREEMPTED|REVOKED|TIMEOUT)$")
"""Pattern of reasons for which no machine is to blame if a worker was lost."""

TRACE_LINES = 40
"""The number of last lines of the traceback that are stored for a failed attempt."""


@dataclass(frozen=True)
class Attempt:
    """An attempt at a run that ended without a result."""

    run: int
    end: str  # FAILED, GIVEN_BACK or LOST
    reason: str  # one line
    trace: tuple[str, ...] = ()


FIELDS = {"claim": 1, "config_hash": 1, "execution": 1, "start_time": 1}
"""Fields of a run's document that the history needs."""


def record_attempts(runs: Runs, attempts: Iterable[Attempt], documents: Iterable[Document]) -> None:
    """Write attempts to the history. If an attempt was written before, that record is kept.

    Workers that were lost, or with a run that ended by a cause that belongs to a machine, get that cause as their
    ``fault``.

    ``documents`` are the runs as they were while they still carried the lease, with :data:`FIELDS`.
    """
    by_run, ended = {attempt.run: attempt for attempt in attempts}, server_time(runs.database)
    attempted = [document for document in documents if document["_id"] in by_run]
    entries = [_entry(runs.name, document, by_run[document["_id"]], ended) for document in attempted]
    if not entries:
        return
    faults = {entry["token"]: fault for entry in entries if (fault := _fault(entry))}
    for token, fault in faults.items():
        runs.database[WORKERS].update_one({"_id": token}, {"$set": {"fault": fault}})
    try:
        runs.database[ATTEMPTS].insert_many(entries, ordered=False)
    except BulkWriteError as failure:
        if any(error["code"] != DUPLICATE_KEY for error in failure.details["writeErrors"]):
            raise


def _entry(collection: str, document: Document, attempt: Attempt, ended: datetime.datetime) -> Document:
    claim = document.get("claim", {})
    token = claim.get("token", f"unclaimed {ended:%Y-%m-%dT%H:%M:%S}")
    execution = claim.get("execution") or document.get("execution", {})
    entry = {
        "_id": f"{collection}/{document['_id']}/{token}",
        "collection": collection,
        "run": document["_id"],
        "token": token,
        "config_hash": document.get("config_hash"),
        "host": claim.get("host"),
        "started": document.get("start_time") or claim.get("time"),
        "ended": ended,
        "end": attempt.end,
        "reason": attempt.reason,
        "trace": list(attempt.trace[-TRACE_LINES:]),
    }
    return entry | ({"slurm": f"{execution['array_id']}_{execution['task_id']}"} if "task_id" in execution else {})


def _fault(entry: Document) -> str | None:
    """The cause of an attempt if it belongs to a machine or is not known; None for any other."""
    trace, host = entry["trace"], entry["host"]
    cause = cause_of(trace, host) if trace else normalised(entry["reason"], host)
    lost = entry["end"] == LOST and not NOT_OF_MACHINE.search(entry["reason"])
    return cause if lost or MACHINE.search(cause) else None


class WorkerHistory:
    """The document of one worker in the history."""

    def __init__(self, runs: Runs, token: str) -> None:
        self._workers = runs.database[WORKERS]
        self._collection, self._token = runs.name, token

    def begin(
        self,
        leader: Document,
        count: int,
        *,
        host: str,
        device: str,
        gpu: bool,
        version: str,
        pack: Mapping[str, str | int] | None = None,
    ) -> None:
        """Write that the worker has started with ``count`` runs. ``pack``: key and size of its packs, if known."""
        execution = leader.get("execution", {})
        slurm = {name: execution[name] for name in ("cluster", "array_id", "task_id") if name in execution}
        entry = {
            "collection": self._collection,
            "leader": leader["_id"],
            "runs": count,
            "host": host,
            "device": device,
            "gpu": gpu,
            **({"slurm": slurm} if "task_id" in slurm else {}),
            "version": version,
            **({"pack": dict(pack)} if pack else {}),
            "resumed": 0.0,
            "trained": 0.0,
            "kept": 0.0,
            "completed": 0,
            "failed": 0,
            "returned": 0,
        }
        fields = {name: {"$literal": value} for name, value in entry.items()} | {"started": "$$NOW", "beat": "$$NOW"}
        self._workers.update_one({"_id": self._token}, [{"$set": fields}], upsert=True)

    def update(self, numbers: Mapping[str, float], end: str | None = None) -> None:
        """Write the worker's numbers and the time; if ``end`` is given, record the end.

        Later calls then change nothing.
        """
        fields: Document = {name: {"$literal": value} for name, value in numbers.items()} | {"beat": "$$NOW"}
        if end is not None:
            fields |= {"end": {"$literal": end}, "ended": "$$NOW"}
        self._workers.update_one({"_id": self._token, "ended": {"$exists": False}}, [{"$set": fields}])


def record_lost_workers(runs: Runs, tokens: Iterable[str], reason: str) -> None:
    """Record that lost workers ended at their last heartbeat. Workers that have an end are not changed."""
    lost = {"_id": {"$in": list(tokens)}, "ended": {"$exists": False}}
    runs.database[WORKERS].update_many(lost, [{"$set": {"ended": "$beat", "end": {"$literal": reason}}}])
