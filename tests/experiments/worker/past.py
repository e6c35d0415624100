"""Example history of a study: workers, attempts, and failed runs."""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Sequence
from typing import Any

from experiments.database.connection import Document, Runs, server_time
from experiments.database.run_collections import WORKERS
from experiments.worker.records.history import Attempt, record_attempts

numbers = itertools.count()

OUT_OF_MEMORY = (
    "Traceback (most recent call last):",
    '  File "/tmp/seml/{run}/walking_noise/pack/pack.py", line 83, in forward',
    "    x = layer(x)",
    "        ^^^^^^^^",
    "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate {run}.25 GiB on {host}",
    "If reserved memory is large, see the documentation",
)


def worker(
    collection: Runs, *, hours: float = 1.0, ended: float = 0.0, end: str | None = "done", **fields: Any
) -> Document:
    """A worker that ran for ``hours``; its end, or last heartbeat if ``end`` is None, was ``ended`` hours ago."""
    now = server_time(collection.database)
    until = now - datetime.timedelta(hours=ended)
    document: Document = {
        "_id": f"worker{next(numbers)}",
        "collection": collection.name, "leader": 1, "runs": 1, "host": "n01", "device": "a GPU", "gpu": True,
        "resumed": 0.0, "trained": 1.0, "kept": 1.0, "completed": 0, "failed": 0, "returned": 0, "version": "1.0",
        "started": until - datetime.timedelta(hours=hours), "beat": until,
        **({"end": end, "ended": until} if end is not None else {}), **fields,
    }  # fmt: skip
    collection.database[WORKERS].insert_one(document)
    return document


def attempt(runs: Runs, run: int, by: Document, end: str, reason: str, trace: Sequence[str] = ()) -> None:
    """An attempt at a run that ended without a result."""
    leased = {"_id": run, "claim": {"token": by["_id"], "host": by["host"], "time": by["started"]}, "config_hash": "0"}
    record_attempts(runs, [Attempt(run, end, reason, tuple(trace))], [leased])


def fail(runs: Runs, ids: Sequence[int], by: Document, trace: Sequence[str] = OUT_OF_MEMORY) -> None:
    """Set runs to FAILED, as a worker does."""
    for run in ids:
        lines = [line.format(run=run, host=by["host"]) for line in trace]
        failed = {"status": "FAILED", "fail_trace": [f"{line}\n" for line in lines], "claim": {"token": by["_id"]}}
        runs.update_one({"_id": run}, {"$set": failed})
        attempt(runs, run, by, "FAILED", lines[-1], lines)
