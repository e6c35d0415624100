"""Recovery after a worker's exit: which runs are released, which fail, and which are not changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.database.connection import DatabaseError, Runs
from experiments.database.run_collections import ATTEMPTS
from experiments.worker.assignment import Assignment
from experiments.worker.leases import Leases
from experiments.worker.records.history import WorkerHistory
from experiments.worker.recovery import after_exit
from experiments.worker.recovery.after_exit import recover_after_exit, recover_runs
from tests.experiments.worker.claiming import Fill, acquire_leases, start_by_seml, statuses


def test_runs_of_a_crashed_worker_are_recovered(runs: Runs, pending_runs: Fill, tmp_path: Path):
    pending_runs([{}] * 4)
    leases, _ = acquire_leases(runs, 1, [2, 3])
    runs.update_one({"_id": 3}, {"$set": {"status": "COMPLETED"}})
    (tmp_path / "runs_1.out").write_text("epoch 1\nTraceback\nValueError\n")
    message = recover_runs(leases, -11, stopped=False)
    leader = runs.find_one({"_id": 1})
    assert message == "the worker ended by signal 11; 1 run is PENDING again"
    assert statuses(runs) == {1: "FAILED", 2: "PENDING", 3: "COMPLETED", 4: "PENDING"}
    assert leader is not None
    assert leader["fail_trace"] == [
        "the worker ended by signal 11; the end of its log:\n",
        "epoch 1\n",
        "Traceback\n",
        "ValueError\n",
    ]
    ends = {attempt["run"]: attempt["end"] for attempt in runs.database[ATTEMPTS].find({"collection": runs.name})}
    assert ends == {1: "FAILED", 2: "LOST"}


def test_a_leader_whose_worker_was_killed_is_pending(runs: Runs, pending_runs: Fill):
    pending_runs([{}] * 2)
    leases, _ = acquire_leases(runs, 1, [2])
    assert recover_runs(leases, -9, stopped=False).endswith("2 runs are PENDING again")
    assert set(statuses(runs).values()) == {"PENDING"}


def test_a_leader_whose_workers_are_killed_repeatedly_has_failed(
    runs: Runs, pending_runs: Fill, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(after_exit, "MOST_KILLED", 2)
    pending_runs([{}] * 2)
    for ended in ("PENDING", "PENDING", "FAILED"):
        leases, _ = acquire_leases(runs, 1, [2])
        leader = start_by_seml(runs, 1)
        WorkerHistory(runs, leases.assignment.token).begin(leader, 2, host="n", device="cpu", gpu=False, version="1")
        recover_runs(leases, -9, stopped=False)
        assert statuses(runs) == {1: ended, 2: "PENDING"}


def test_runs_of_a_worker_that_crashed_before_its_lease_are_recovered(runs: Runs, pending_runs: Fill):
    pending_runs([{}] * 2)
    start_by_seml(runs, 1)
    recover_runs(Leases(runs, Assignment(runs.name, 1)), 1, stopped=False)
    assert statuses(runs) == {1: "FAILED", 2: "PENDING"}


def test_runs_of_a_stopped_worker_are_pending(runs: Runs, pending_runs: Fill):
    pending_runs([{}] * 3)
    leases, _ = acquire_leases(runs, 1, [2])
    recover_runs(leases, 1, stopped=True)
    assert set(statuses(runs).values()) == {"PENDING"}


def test_recovery_does_not_change_runs_of_other_workers(runs: Runs, pending_runs: Fill):
    pending_runs([{}] * 2)
    leases, _ = acquire_leases(runs, 1, [2])
    leases.release()
    acquire_leases(runs, 1, [2])
    recover_runs(leases, -9, stopped=False)
    assert set(statuses(runs).values()) == {"RUNNING"}


def test_runs_that_cannot_be_released_are_reported(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    def connect() -> None:
        raise DatabaseError("no database answers")

    monkeypatch.setattr("experiments.worker.recovery.after_exit.connect", connect)
    recover_after_exit(Assignment("study", 1), -9, stopped=False)
    printed = capsys.readouterr().out
    assert "stay RUNNING until you run `walking-noise rescue study`" in printed
    assert printed.endswith(" (no database answers)\n")
