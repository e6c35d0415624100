"""A Slurm that is slow, restarts or is gone: workers start without it, and ask it seldom."""

from __future__ import annotations

import datetime
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from experiments import slurm
from experiments.database.connection import Runs, server_time
from experiments.database.run_collections import ATTEMPTS, STUDIES, WORKERS
from experiments.worker.assignment import Assignment
from experiments.worker.records.study_record import QUERY_SECONDS, forget_failures, may_ask_slurm
from experiments.worker.recovery.at_startup import recover_at_startup
from tests.experiments.fake_slurm import FakeSlurm
from tests.experiments.worker.claiming import Fill, acquire_leases, start_by_seml, statuses

HERE = {"cluster": "attic", "array_id": 10}


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    fake = FakeSlurm(tmp_path / "slurm", size=1000)
    monkeypatch.setenv("PATH", str(fake.folder), prepend=":")
    return fake


def start(runs: Runs, run: int) -> None:
    """The recovery of a worker in a Slurm task, which has this run as its leader."""
    leader = start_by_seml(runs, run, **HERE, task_id=run)
    recover_at_startup(runs, leader, Assignment(runs.name, run).token, None, 300.0)


def passes(runs: Runs, seconds: float) -> None:
    earlier = server_time(runs.database) - datetime.timedelta(seconds=seconds)
    runs.database[STUDIES].update_one({"_id": runs.name}, {"$set": {"asked": earlier}})


def test_all_workers_of_a_study_query_the_queue_once_per_minute(runs: Runs, pending_runs: Fill, fake: FakeSlurm):
    pending_runs([{}] * 12)
    acquire_leases(runs, 1, [2], **HERE, task_id=0)
    (fake.folder / "queue").write_text("".join(f"10|{task}|10|RUNNING\n" for task in range(12)))
    with ThreadPoolExecutor(5) as pool:
        list(pool.map(lambda run: start(runs, run), range(3, 8)))
    assert sorted(fake.calls) == ["scontrol", "squeue"]
    assert statuses(runs)[1] == "RUNNING"
    fake.lose(10)
    start(runs, 8)
    assert sorted(fake.calls) == ["scontrol", "squeue"]
    passes(runs, QUERY_SECONDS + 1)
    start(runs, 9)
    assert fake.calls == ["scontrol", "squeue", "scontrol", "squeue", "sacct"]
    assert statuses(runs)[1] == "PENDING"


def test_a_query_is_due_again_after_a_minute(runs: Runs):
    assert may_ask_slurm(runs.database, runs.name)
    assert not may_ask_slurm(runs.database, runs.name)
    assert may_ask_slurm(runs.database, f"{runs.name}_other")
    passes(runs, QUERY_SECONDS + 1)
    forget_failures(runs.database, runs.name)
    assert may_ask_slurm(runs.database, runs.name)
    assert not may_ask_slurm(runs.database, runs.name)


def test_a_worker_starts_while_slurm_is_slow(
    runs: Runs, pending_runs: Fill, fake: FakeSlurm, monkeypatch: pytest.MonkeyPatch
):
    """The command is a script that has started another program, as on many clusters. No run and no node is blamed."""
    monkeypatch.setattr(slurm, "TIMEOUT_SECONDS", 0.5)
    pending_runs([{}] * 3)
    acquire_leases(runs, 1, [], **HERE, task_id=0)
    for slow in (["squeue"], ["scontrol"], ["squeue", "scontrol", "sacct"]):
        fake.slow_down(*slow)
        passes(runs, QUERY_SECONDS + 1)
        started = time.monotonic()
        start(runs, 3)
        assert time.monotonic() - started < 20
        assert fake.calls[-1] in slow
    assert statuses(runs) == {1: "RUNNING", 2: "PENDING", 3: "RUNNING"}
    assert runs.database[ATTEMPTS].count_documents({"collection": runs.name}) == 0


def test_a_slow_accounting_delays_no_recovery(
    runs: Runs, pending_runs: Fill, fake: FakeSlurm, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(slurm, "TIMEOUT_SECONDS", 0.5)
    pending_runs([{}] * 2)
    acquire_leases(runs, 1, [], **HERE, task_id=0)
    fake.slow_down("sacct")
    start(runs, 2)
    assert "sacct" in fake.calls
    assert statuses(runs) == {1: "PENDING", 2: "RUNNING"}
    (attempt,) = runs.database[ATTEMPTS].find({"collection": runs.name})
    assert attempt["reason"] == "Slurm task has ended"


def test_a_restarting_controller_ends_no_task(runs: Runs, pending_runs: Fill, fake: FakeSlurm):
    pending_runs([{}] * 2)
    acquire_leases(runs, 1, [], **HERE, task_id=0)
    fake.go_down()
    start(runs, 2)
    assert statuses(runs) == {1: "RUNNING", 2: "RUNNING"}
    assert runs.database[WORKERS].count_documents({"collection": runs.name, "fault": {"$exists": True}}) == 0
