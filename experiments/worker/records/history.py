"""What happened to the runs, beside their documents: `seml reset` and `seml delete` leave it as it is.

Two collections in the database that holds the runs. ``walking_noise.workers`` has a document for every worker: where
it worked, for how long, and what became of the runs it took on. ``walking_noise.attempts`` has one for every attempt
at a run that ended without a result, with the reason.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pymongo.errors import BulkWriteError

from experiments.database.connection import Document, Runs, server_time
from experiments.database.run_collections import ATTEMPTS, WORKERS

FAILED, GIVEN_BACK, LOST = "FAILED", "GIVEN_BACK", "LOST"
"""How an attempt ends without a result: it failed; its worker gave it back; its worker was lost."""

DONE = "done"
"""The end of a worker that did what it had taken on."""

DUPLICATE_KEY = 11000
"""MongoDB's code of what is there already."""

TRACE_LINES = 40
"""A failed attempt keeps so many last lines of its trace."""


@dataclass(frozen=True)
class Attempt:
    """How an attempt at a run ended without a result, and why, in a line."""

    run: int
    end: str
    reason: str
    trace: tuple[str, ...] = ()


FIELDS = {"claim": 1, "config_hash": 1, "execution": 1, "start_time": 1}
"""What the history takes from a run's document."""


def record_attempts(runs: Runs, attempts: Iterable[Attempt], documents: Iterable[Document]) -> None:
    """Note how attempts at runs ended. An attempt is noted once: what was said of it first stands.

    Parameters
    ----------
    documents
        The runs as they were when they still carried the claim, with :data:`FIELDS`.
    """
    by_run, ended = {attempt.run: attempt for attempt in attempts}, server_time(runs.database)
    noted = [document for document in documents if document["_id"] in by_run]
    entries = [_entry(runs.name, document, by_run[document["_id"]], ended) for document in noted]
    if not entries:
        return
    try:
        runs.database[ATTEMPTS].insert_many(entries, ordered=False)
    except BulkWriteError as refusal:
        if any(error["code"] != DUPLICATE_KEY for error in refusal.details["writeErrors"]):
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


class WorkerHistory:
    """The document of one worker."""

    def __init__(self, runs: Runs, token: str) -> None:
        self._workers = runs.database[WORKERS]
        self._collection, self._token = runs.name, token

    def begin(self, leader: Document, count: int, *, host: str, device: str, gpu: bool, version: str) -> None:
        """Note that a worker has taken on ``count`` runs."""
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
            "resumed": 0.0,
            "trained": 0.0,
            "kept": 0.0,
            "completed": 0,
            "failed": 0,
            "returned": 0,
        }
        fields = {name: {"$literal": value} for name, value in entry.items()} | {"started": "$$NOW", "beat": "$$NOW"}
        self._workers.update_one({"_id": self._token}, [{"$set": fields}], upsert=True)

    def note(self, numbers: Mapping[str, float], end: str | None = None) -> None:
        """Note that the worker lives, or how it ended, and its numbers so far; nothing if it counts as lost."""
        fields: Document = {name: {"$literal": value} for name, value in numbers.items()} | {"beat": "$$NOW"}
        if end is not None:
            fields |= {"end": {"$literal": end}, "ended": "$$NOW"}
        self._workers.update_one({"_id": self._token, "ended": {"$exists": False}}, [{"$set": fields}])


def record_lost_workers(runs: Runs, tokens: Iterable[str], reason: str) -> None:
    """Note of workers that did not say so themselves how they ended; their time ends with their last heartbeat."""
    lost = {"_id": {"$in": list(tokens)}, "ended": {"$exists": False}}
    runs.database[WORKERS].update_many(lost, [{"$set": {"ended": "$beat", "end": {"$literal": reason}}}])
