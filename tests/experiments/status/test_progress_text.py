from __future__ import annotations

import pytest

from experiments.database.connection import Document, Runs
from experiments.status.progress_text import CollectionProgress


def run(number: int, status: str, pack: str | None = None, trained: float | None = None) -> Document:
    document: Document = {"_id": number, "status": status}
    if pack:
        document["claim"] = {"token": pack}
    if trained is not None:
        document["info"] = {"trained": trained}
    return document


def test_progress(runs: Runs, monkeypatch: pytest.MonkeyPatch):
    now = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    runs.insert_many([run(1, "COMPLETED"), *(run(number, "PENDING") for number in range(2, 12))])
    progress = CollectionProgress(runs)
    assert progress.text() == "1 of 11 runs done"
    runs.delete_many({"_id": {"$gt": 1}})
    runs.insert_many(
        [
            run(2, "COMPLETED", "a", 0.1),
            run(3, "FAILED", "a", 0.1),
            *(run(number, "RUNNING", "a", 0.5) for number in range(4, 10)),  # half of this pack of 8 runs is trained
            run(10, "PENDING"),
            run(11, "PENDING"),
        ]
    )
    now[0] += 60.0
    assert progress.text() == "2 of 11 runs done, 1 failed, 1 runs/min, 1:30 left"
    assert progress.new == 1


def test_no_time_left_at_the_beginning(runs: Runs, monkeypatch: pytest.MonkeyPatch):
    now = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    runs.insert_many([run(number, "RUNNING", "a", 0.0) for number in range(20)])
    progress = CollectionProgress(runs)
    runs.update_many({}, {"$set": {"info.trained": 0.05}})
    now[0] += 60.0
    assert progress.text() == "0 of 20 runs done"
