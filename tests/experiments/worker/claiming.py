"""Leases for tests: runs as SEML starts them, and workers that lease them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from experiments.database.connection import Document, Runs
from experiments.worker.assignment import Assignment
from experiments.worker.leases import Leases

Fill = Callable[[Sequence[Document]], None]
ANY: Document = {"status": "PENDING"}


def start_by_seml(runs: Runs, run: int, **execution: Any) -> Document:
    update = {"status": "RUNNING", "execution": {"cluster": "local", **execution}}
    runs.update_one({"_id": run}, {"$set": update})
    leader = runs.find_one({"_id": run})
    assert leader is not None
    return leader


def acquire_leases(runs: Runs, leader: int, ids: Sequence[int], **execution: Any) -> tuple[Leases, set[int]]:
    leases = Leases(runs, Assignment(runs.name, leader))
    return leases, leases.acquire(start_by_seml(runs, leader, **execution), ANY, ids)


def statuses(runs: Runs) -> dict[int, str]:
    return {document["_id"]: document["status"] for document in runs.find({}, {"status": 1})}
