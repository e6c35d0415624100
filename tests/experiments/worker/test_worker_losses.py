"""Killed workers and outages of the database: nothing is lost, and results equal those of undisturbed runs."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from experiments.database.connection import Document, Runs
from experiments.database.embedded_server import DATABASE, EmbeddedDatabase
from experiments.database.run_collections import ATTEMPTS, WORKERS
from experiments.worker.recovery.lost_workers import Recovery
from tests.experiments.shell import ROOT, Shell
from tests.experiments.worker.claiming import Fill, acquire_leases, statuses
from walking_noise import RunConfig, train

EPOCHS = 20
"""Epochs of a training that can be disturbed: several seconds on one core."""
OPTIONS = {
    "WALKING_NOISE_CHECKPOINT_SECONDS": "0.2",
    "WALKING_NOISE_LEASE_SECONDS": "3",
    "WALKING_NOISE_DEVICE": "cpu",
}


@contextlib.contextmanager
def worker(shell: Shell, runs: Runs, **options: str) -> Iterator[subprocess.Popen[str]]:
    """The process that SEML starts for run 1; all its processes are killed at the end."""
    run = runs.find_one_and_update({"_id": 1}, {"$set": {"status": "RUNNING", "execution.cluster": "local"}})
    assert run is not None
    settings = [f"{name}={value!r}" for name, value in run["config"].items()]
    assignment = [f"db_collection={runs.name!r}", "overwrite=1", "--force"]
    command = ("python", str(ROOT / "experiments" / "train.py"), "with", *settings, *assignment)
    process = shell.start(*command, cores=1, **OPTIONS | options)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def until(condition: Any, seconds: float = 200) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def results(runs: Runs) -> list[Document]:
    """The results in the order of the runs, without the fields that depend on the worker."""
    return [_numbers(run["result"]) for run in runs.find({"status": "COMPLETED"}).sort("_id", 1)]


def undisturbed(runs: Runs) -> list[Document]:
    """The results of the runs, trained in this process. Several tests have the same runs."""
    return _train(*(RunConfig.from_document(run["config"]) for run in runs.find().sort("_id", 1)))


@functools.cache
def _train(*configs: RunConfig) -> list[Document]:
    return [_numbers(result.to_document()) for result in train(configs, processes=1)]


def _numbers(result: Document) -> Document:
    return {name: value for name, value in result.items() if name not in ("seconds", "pack_size", "provenance")}


LONG = {"training.epochs": EPOCHS, "data.name": "mnist5k"}
RUNS: list[Document] = [
    {**LONG, "noise.std": 0.5},
    {**LONG, "noise.std": 1.0, "seed": 1},
    {**LONG, "noise.std": 2.0, "noise.in_training": False},
]


@pytest.mark.slow
def test_a_killed_worker_loses_at_most_a_checkpoint_interval(
    shell: Shell, runs: Runs, pending_runs: Fill, tmp_path: Path
):
    pending_runs(RUNS)
    checkpoints = tmp_path / "state" / "checkpoints"
    with worker(shell, runs) as process:
        until(lambda: len(list(checkpoints.glob("*.checkpoint"))) == 3)
        os.killpg(process.pid, signal.SIGKILL)
    assert set(statuses(runs).values()) == {"RUNNING"}
    recovery = Recovery(runs, None, lambda: None, lease_seconds=3.0)
    until(lambda: recovery.recover_lost().returned)
    assert set(statuses(runs).values()) == {"PENDING"}
    with worker(shell, runs) as process:
        output, _ = process.communicate(timeout=200)
    assert process.returncode == 0, output
    assert set(statuses(runs).values()) == {"COMPLETED"}
    assert results(runs) == undisturbed(runs)
    assert list(checkpoints.iterdir()) == []
    workers = list(runs.database[WORKERS].find({"collection": runs.name}).sort("started", 1))
    assert [one["resumed"] > 0 for one in workers] == [False, True]
    assert [one["completed"] for one in workers] == [0, 3]
    assert [one["end"] for one in workers][1] == "done"
    attempts = list(runs.database[ATTEMPTS].find({"collection": runs.name}))
    assert sorted((attempt["run"], attempt["end"]) for attempt in attempts) == [(1, "LOST"), (2, "LOST"), (3, "LOST")]


@pytest.mark.slow
def test_a_stopped_worker_loses_nothing(shell: Shell, runs: Runs, pending_runs: Fill):
    pending_runs(RUNS)
    with worker(shell, runs, WALKING_NOISE_CHECKPOINT_SECONDS="3600") as process:
        until(lambda: runs.count_documents({"info.trained": {"$gt": 0}}))
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=200)
    assert process.returncode == 143, output
    assert set(statuses(runs).values()) == {"PENDING"}
    with worker(shell, runs) as process:
        process.communicate(timeout=200)
    assert results(runs) == undisturbed(runs)
    first, second = runs.database[WORKERS].find({"collection": runs.name}).sort("started", 1)
    assert (first["end"], first["returned"]) == ("SIGTERM", 3)
    assert 0 < second["resumed"] < 1
    assert {one["end"] for one in runs.database[ATTEMPTS].find({"collection": runs.name})} == {"GIVEN_BACK"}


@pytest.mark.slow
def test_a_worker_suspended_beyond_its_lease_writes_nothing_and_ends(
    shell: Shell, runs: Runs, pending_runs: Fill, tmp_path: Path
):
    pending_runs([{**LONG, "training.epochs": 400, "seed": seed} for seed in (1, 2)])
    with worker(shell, runs) as process:
        until(lambda: len(list((tmp_path / "state" / "checkpoints").glob("*.checkpoint"))) == 2)
        os.killpg(process.pid, signal.SIGSTOP)
        recovery = Recovery(runs, None, lambda: None, lease_seconds=3.0)
        until(lambda: recovery.recover_lost().returned)
        acquire_leases(runs, 1, [2])
        others = list(runs.find())
        os.killpg(process.pid, signal.SIGCONT)
        output, _ = process.communicate(timeout=200)
    assert process.returncode == 0, output
    assert "the worker no longer holds its 2 runs (cancelled, reset, deleted or taken over)" in output
    assert list(runs.find()) == others


@pytest.fixture
def own_database(tmp_path: Path) -> Iterator[EmbeddedDatabase]:
    database = EmbeddedDatabase(tmp_path / "db")
    database.start()
    yield database
    database.stop()


@pytest.fixture
def own_runs(own_database: EmbeddedDatabase, staged: Document, tmp_path: Path) -> Iterator[Runs]:
    """Three pending runs in a database that a test may stop; their source files are those of this checkout."""
    access = own_database.access
    assert access is not None
    with access.client() as client:
        runs: Runs = client[DATABASE]["runs"]
        for number, seed in enumerate((1, 2, 3), start=1):
            run = {**staged, "_id": number, "status": "PENDING", "config": {**staged["config"], "seed": seed}}
            run["config"]["training"] = {**run["config"]["training"], "epochs": EPOCHS}
            run["seml"] = {**run["seml"], "output_file": str(tmp_path / f"runs_{number}.out")}
            runs.insert_one(run)
        yield runs


def kill_server(database: EmbeddedDatabase) -> None:
    pid = database.server.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    until(lambda: not database.server.running)


@pytest.mark.slow
def test_training_continues_while_the_database_is_unreachable(
    own_database: EmbeddedDatabase, own_runs: Runs, tmp_path: Path
):
    with worker(Shell(own_database.folder), own_runs) as process:
        until(lambda: own_runs.count_documents({"start_time": {"$exists": True}}))
        kill_server(own_database)
        until(lambda: list((tmp_path / "state" / "undelivered").glob("*.json")))
        own_database.start()
        output, _ = process.communicate(timeout=200)
    assert process.returncode == 0, output
    assert "the database is unreachable, training continues" in output
    assert results(own_runs) == undisturbed(own_runs)
    assert list((tmp_path / "state" / "undelivered").iterdir()) == []


@pytest.mark.slow
def test_a_stopped_worker_does_not_wait_for_a_database_that_hangs(
    own_database: EmbeddedDatabase, own_runs: Runs, tmp_path: Path
):
    with worker(Shell(own_database.folder), own_runs) as process:
        until(lambda: own_runs.count_documents({"start_time": {"$exists": True}}))
        until(lambda: list((tmp_path / "state" / "checkpoints").glob("*.checkpoint")))
        assert own_database.server.pid is not None
        os.kill(own_database.server.pid, signal.SIGSTOP)
        try:
            process.send_signal(signal.SIGTERM)
            output, _ = process.communicate(timeout=200)
        finally:
            os.kill(own_database.server.pid, signal.SIGCONT)
    assert process.returncode == 143, output
    assert "3 runs are still RUNNING; run `walking-noise rescue runs`" in output


@pytest.mark.slow
def test_a_worker_that_gives_up_saves_its_results_for_the_next(
    own_database: EmbeddedDatabase, own_runs: Runs, tmp_path: Path
):
    shell = Shell(own_database.folder)
    with worker(shell, own_runs, WALKING_NOISE_PATIENCE_SECONDS="1") as process:
        until(lambda: own_runs.count_documents({"start_time": {"$exists": True}}))
        kill_server(own_database)
        output, _ = process.communicate(timeout=200)
    assert process.returncode == os.EX_TEMPFAIL, output
    assert "`walking-noise rescue runs`" in output
    own_database.start()
    assert set(statuses(own_runs).values()) == {"RUNNING"}
    recovery = Recovery(own_runs, None, lambda: None, lease_seconds=3.0)
    until(lambda: recovery.recover_lost().returned)
    with worker(shell, own_runs) as process:
        process.communicate(timeout=200)
    assert results(own_runs) == undisturbed(own_runs)


@pytest.mark.slow
def test_saved_results_are_delivered_by_the_command(own_database: EmbeddedDatabase, own_runs: Runs, tmp_path: Path):
    own_runs.update_many({}, {"$set": {"config.training.epochs": 2}})
    shell, undelivered = Shell(own_database.folder), tmp_path / "state" / "undelivered"
    with worker(shell, own_runs) as process:
        until(lambda: own_runs.count_documents({"start_time": {"$exists": True}}))
        kill_server(own_database)
        until(lambda: list(undelivered.glob("*.json")))
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=200)
    assert f"`walking-noise deliver {undelivered}`" in output
    own_database.start()
    assert "3 results written to the database" in shell.run("walking-noise", "deliver", str(undelivered))
    assert results(own_runs) == undisturbed(own_runs)
