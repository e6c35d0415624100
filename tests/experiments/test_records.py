"""The documents of claimed runs: their layout, and that nothing is written to a run that is no longer this worker's."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from pymongo.errors import AutoReconnect

from experiments import records as module
from experiments.assignment import Assignment
from experiments.claims import Claims
from experiments.database import Document, Runs
from experiments.logs import RunLogs
from experiments.records import Records
from walking_noise import Failure, Result, RunConfig, train

EXPERIMENT = {"name": "walking_noise", "base_dir": "/x", "sources": [["a.py", "md5"]], "mainfile": "train.py"}
HOST = {"hostname": "node7", "os": ["Linux", "6"], "gpus": {"gpus": []}, "ENV": {}}


@pytest.fixture(scope="session")
def result() -> Result:
    (result,) = train([RunConfig.from_dict({"noise.std": 0.5, "training.epochs": 1, "evaluation.curve": True})])
    return result


@pytest.fixture
def begun(runs: Runs, pending_runs: Callable[[Sequence[Document]], None]) -> Records:
    """The records of runs 1, 2 and 3, of which 1 is the leader."""
    pending_runs([{}, {}, {}])
    runs.update_one({"_id": 1}, {"$set": {"status": "RUNNING", "execution": {"cluster": "local"}}})
    leader = runs.find_one({"_id": 1})
    assert leader is not None
    claims = Claims(runs, Assignment(runs.name, 1))
    claims.take(leader, {"status": "PENDING"}, [2, 3])
    records = Records(claims, RunLogs(leader), {1, 2, 3}, "0123abc")
    records.start(EXPERIMENT, HOST, "main")
    return records


def document(runs: Runs, run: int) -> Document:
    found = runs.find_one({"_id": run})
    assert found is not None
    return found


def test_a_run_that_has_begun(runs: Runs, begun: Records, tmp_path: Path):
    companion = document(runs, 2)
    assert companion["status"] == "RUNNING"
    assert companion["experiment"] == {**EXPERIMENT, "sources": []}
    assert companion["host"] == HOST
    assert companion["command"] == "main"
    assert companion["format"].startswith("MongoObserver")
    assert companion["seml"]["output_file"] == str(tmp_path / "runs_2.out")
    empty = {"resources": [], "artifacts": [], "captured_out": "", "info": {}}
    assert {name: companion[name] for name in empty} == empty
    assert companion["start_time"] <= companion["heartbeat"]


def test_a_run_that_is_completed(runs: Runs, begun: Records, result: Result):
    begun.finish(2, result)
    begun.flush()
    completed = document(runs, 2)
    assert completed["status"] == "COMPLETED"
    expected: dict[str, Any] = result.to_document()
    expected["provenance"]["commit"] = "0123abc"
    assert completed["result"] == expected
    assert len(completed["result"]["validation_curve"]) == 1
    assert completed["start_time"] <= completed["stop_time"]
    assert document(runs, 3)["status"] == "RUNNING"
    assert "metrics" not in runs.database.list_collection_names()


def test_a_run_that_fails(runs: Runs, begun: Records):
    begun.finish(2, Failure("noise.std: -1 is refused"))
    begun.finish(3, Failure("ValueError: x", "Traceback:\n  line\nValueError: x\n"))
    begun.flush()
    assert document(runs, 2)["fail_trace"] == ["noise.std: -1 is refused\n"]
    assert document(runs, 3)["fail_trace"] == ["Traceback:\n", "  line\n", "ValueError: x\n"]
    assert document(runs, 2)["status"] == document(runs, 3)["status"] == "FAILED"
    assert "result" not in document(runs, 2)


def test_finished_runs_are_written_together(runs: Runs, begun: Records, result: Result, monkeypatch):
    monkeypatch.setattr(module, "HOLD_SECONDS", 0.2)
    begun.finish(2, result)
    begun.finish(3, result)
    assert begun.poll()
    assert document(runs, 2)["status"] == "RUNNING"
    time.sleep(0.25)
    assert begun.poll()
    assert document(runs, 2)["status"] == document(runs, 3)["status"] == "COMPLETED"
    assert begun.unfinished == {1}


def test_finished_runs_are_kept_while_the_database_is_away(begun: Records, result: Result, monkeypatch):
    away = True
    write = begun._write

    def unreliable(updates):
        if away:
            raise AutoReconnect("away")
        return write(updates)

    monkeypatch.setattr(begun, "_write", unreliable)
    begun.finish(1, result)
    with pytest.raises(AutoReconnect):
        begun.flush()
    away = False
    begun.flush()
    assert begun.claims.runs.count_documents({"_id": 1, "status": "COMPLETED"}) == 1
    assert begun.lost == set()


def test_a_cancelled_run_stays_cancelled(runs: Runs, begun: Records, result: Result, monkeypatch):
    monkeypatch.setattr(module, "BEAT_SECONDS", 0.0)
    begun._next_beat = 0.0
    runs.update_one({"_id": 2}, {"$set": {"status": "INTERRUPTED"}})
    cancelled = document(runs, 2)
    begun.poll()
    begun.finish(2, result)
    begun.finish(3, result)
    begun.flush()
    begun.claims.give_back()
    assert document(runs, 2) == cancelled
    assert document(runs, 3)["status"] == "COMPLETED"
    assert begun.lost == {2}


def test_a_deleted_run_stays_deleted(runs: Runs, begun: Records, result: Result):
    runs.delete_one({"_id": 2})
    begun.finish(2, result)
    begun.flush()
    assert runs.find_one({"_id": 2}) is None
    assert begun.lost == {2}


def test_a_run_reset_and_started_anew_is_the_new_workers(runs: Runs, begun: Records, result: Result):
    runs.update_one({"_id": 2}, {"$set": {"claim.token": "another worker's"}})
    taken = document(runs, 2)
    begun.finish(2, result)
    begun.flush()
    assert document(runs, 2) == taken


def test_a_run_is_completed_once(runs: Runs, begun: Records, result: Result):
    begun.finish(2, result)
    begun.flush()
    completed = document(runs, 2)
    begun.finish(2, Failure("late"))
    begun.flush()
    assert document(runs, 2) == completed


def test_heartbeats(runs: Runs, begun: Records, result: Result):
    begun.finish(3, result)
    begun.flush()
    finished, before = document(runs, 3), document(runs, 2)
    begun.trained, begun._next_beat = 0.25, 0.0
    assert begun.poll()
    after = document(runs, 2)
    assert after["heartbeat"] > before["heartbeat"]
    assert after["info"] == {"trained": 0.25}
    assert document(runs, 3) == finished
    assert begun._next_beat > time.monotonic() + 9


def test_when_all_runs_are_cancelled_there_is_nothing_left_to_train(runs: Runs, begun: Records):
    runs.update_many({}, {"$set": {"status": "INTERRUPTED"}})
    begun._next_beat = 0.0
    assert not begun.poll()


def test_a_log_for_each_companion(begun: Records, tmp_path: Path):
    begun.logs.open([1, 2, 3])
    begun.logs.write([1, 2], "given back")
    lines = (tmp_path / "runs_2.out").read_text().splitlines()
    assert len(lines) == 2
    assert "trained together with 2 others by the worker of run 1" in lines[0]
    assert str(tmp_path / "runs_1.out") in lines[0]
    assert lines[1].endswith("given back")
    assert not (tmp_path / "runs_1.out").exists()
