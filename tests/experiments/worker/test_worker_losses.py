"""Killed, stopped and suspended workers: nothing is lost, and results equal those of undisturbed runs."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from experiments.database.connection import Document, Runs
from experiments.database.run_collections import ATTEMPTS, WORKERS
from experiments.worker.recovery.lost_workers import Recovery
from tests.experiments.shell import Shell
from tests.experiments.worker.claiming import Fill, acquire_leases, statuses
from tests.experiments.worker.disturbed import EPOCHS, results, undisturbed, until, worker

LONG = {"training.epochs": EPOCHS, "data.name": "mnist5k"}
RUNS: list[Document] = [
    {**LONG, "noise.std": 0.5},
    {**LONG, "noise.std": 1.0, "seed": 1},
    {**LONG, "noise.std": 2.0, "noise.in_training": False},
]


def test_a_killed_worker_loses_at_most_a_checkpoint_interval(
    shell: Shell, runs: Runs, pending_runs: Fill, tmp_path: Path
):
    pending_runs(RUNS)
    checkpoints = tmp_path / "state" / "checkpoints"
    with worker(shell, runs) as killed:
        killed.until(lambda: list(checkpoints.glob("*.checkpoint")))
        os.killpg(killed.process.pid, signal.SIGKILL)
    assert set(statuses(runs).values()) == {"RUNNING"}
    recovery = Recovery(runs, None, lambda: None, lease_seconds=3.0)
    until(lambda: recovery.recover_lost().returned)
    assert set(statuses(runs).values()) == {"PENDING"}
    with worker(shell, runs, held=False) as second:
        second.end()
    assert set(statuses(runs).values()) == {"COMPLETED"}
    assert results(runs) == undisturbed(runs)
    assert list(checkpoints.glob("*.checkpoint")) == []  # a file that was half written stays until `checkpoints clean`
    workers = list(runs.database[WORKERS].find({"collection": runs.name}).sort("started", 1))
    assert [one["resumed"] > 0 for one in workers] == [False, True]
    assert [one["completed"] for one in workers] == [0, 3]
    assert [one["end"] for one in workers][1] == "done"
    attempts = list(runs.database[ATTEMPTS].find({"collection": runs.name}))
    assert sorted((attempt["run"], attempt["end"]) for attempt in attempts) == [(1, "LOST"), (2, "LOST"), (3, "LOST")]


@pytest.mark.slow
def test_a_stopped_worker_loses_nothing(shell: Shell, runs: Runs, pending_runs: Fill):
    pending_runs(RUNS)
    with worker(shell, runs, WALKING_NOISE_CHECKPOINT_SECONDS="3600") as stopped:
        stopped.until(lambda: runs.count_documents({"info.trained": {"$gt": 0}}))
        stopped.process.send_signal(signal.SIGTERM)
        stopped.end(143)
    assert set(statuses(runs).values()) == {"PENDING"}
    with worker(shell, runs, held=False) as second:
        second.end()
    assert results(runs) == undisturbed(runs)
    first, last = runs.database[WORKERS].find({"collection": runs.name}).sort("started", 1)
    assert (first["end"], first["returned"]) == ("SIGTERM", 3)
    assert 0 < last["resumed"] < 1
    assert {one["end"] for one in runs.database[ATTEMPTS].find({"collection": runs.name})} == {"GIVEN_BACK"}


def test_a_worker_suspended_beyond_its_lease_writes_nothing_and_ends(
    shell: Shell, runs: Runs, pending_runs: Fill, tmp_path: Path
):
    pending_runs([{**LONG, "seed": seed} for seed in (1, 2)])
    with worker(shell, runs) as suspended:
        suspended.until(lambda: len(list((tmp_path / "state" / "checkpoints").glob("*.checkpoint"))) == 2)
        os.killpg(suspended.process.pid, signal.SIGSTOP)
        recovery = Recovery(runs, None, lambda: None, lease_seconds=3.0)
        until(lambda: recovery.recover_lost().returned)
        acquire_leases(runs, 1, [2])
        others = list(runs.find())
        os.killpg(suspended.process.pid, signal.SIGCONT)
        output = suspended.end()
    assert "the worker no longer holds its 2 runs (cancelled, reset, deleted or taken over)" in output
    assert list(runs.find()) == others
