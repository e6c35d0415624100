from __future__ import annotations

import pytest

from experiments.database.connection import Runs
from experiments.status.progress_text import CollectionProgress
from tests.experiments.worker.past import fail, worker


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time of the clock, which the test sets."""
    now = [1000.0]
    monkeypatch.setattr("experiments.status.progress_text.time.monotonic", lambda: now[0])
    return now


def test_progress(runs: Runs, now: list[float]):
    runs.insert_many([{"_id": 1, "status": "COMPLETED"}, *({"_id": run, "status": "PENDING"} for run in range(2, 12))])
    progress = CollectionProgress(runs.database, runs.name)
    assert progress.text() == "1 of 11 runs done"
    pack = worker(runs, end=None, runs=8, trained=0.5, completed=1, failed=1)
    runs.update_one({"_id": 2}, {"$set": {"status": "COMPLETED"}})
    fail(runs, [3], pack)
    runs.update_many({"_id": {"$gte": 4, "$lt": 10}}, {"$set": {"status": "RUNNING"}})
    now[0] += 60.0
    assert progress.text() == "2 of 11 runs done, 1 failed, 1 runs/min, 1:30 left"
    assert progress.new == 1


def test_no_time_left_at_the_beginning(runs: Runs, now: list[float]):
    runs.insert_many([{"_id": run, "status": "RUNNING"} for run in range(20)])
    progress = CollectionProgress(runs.database, runs.name)
    worker(runs, end=None, runs=20, trained=0.05)
    now[0] += 60.0
    assert progress.text() == "0 of 20 runs done"
