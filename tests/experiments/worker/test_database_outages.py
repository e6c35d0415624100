"""Outages of the database during a training: nothing is lost, and results equal those of undisturbed runs."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from experiments.database.connection import Document, Runs
from experiments.database.embedded_server import DATABASE, HOST, EmbeddedDatabase
from experiments.worker.recovery.lost_workers import Recovery
from tests.experiments.shell import Shell
from tests.experiments.worker.claiming import statuses
from tests.experiments.worker.disturbed import EPOCHS, results, undisturbed, until, worker


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


@pytest.fixture
def impatient(own_database: EmbeddedDatabase, tmp_path: Path) -> Shell:
    """Shell with a configuration by which a call fails after a second without a server, instead of half a minute."""
    content = yaml.safe_load(own_database.configuration.read_text())
    content["host"] = f"mongodb://{HOST}/?serverSelectionTimeoutMS=1000"
    file = tmp_path / "impatient" / "seml" / "mongodb.config"
    file.parent.mkdir(parents=True)
    file.write_text(yaml.safe_dump(content))
    return Shell(tmp_path / "impatient")


def kill_server(database: EmbeddedDatabase) -> None:
    pid = database.server.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    until(lambda: not database.server.running)


def test_training_continues_while_the_database_is_unreachable(
    impatient: Shell, own_database: EmbeddedDatabase, own_runs: Runs, tmp_path: Path
):
    with worker(impatient, own_runs) as one:
        one.until(lambda: own_runs.count_documents({"start_time": {"$exists": True}}))
        kill_server(own_database)
        one.go_on()
        one.until(lambda: list((tmp_path / "state" / "undelivered").glob("*.json")))
        own_database.start()
        output = one.end()
    assert "the database is unreachable, training continues" in output
    assert results(own_runs) == undisturbed(own_runs)
    assert list((tmp_path / "state" / "undelivered").iterdir()) == []


def test_a_stopped_worker_does_not_wait_for_a_database_that_hangs(
    impatient: Shell, own_database: EmbeddedDatabase, own_runs: Runs, tmp_path: Path
):
    with worker(impatient, own_runs) as one:
        one.until(lambda: own_runs.count_documents({"start_time": {"$exists": True}}))
        one.until(lambda: list((tmp_path / "state" / "checkpoints").glob("*.checkpoint")))
        assert own_database.server.pid is not None
        os.kill(own_database.server.pid, signal.SIGSTOP)
        try:
            one.process.send_signal(signal.SIGTERM)
            output = one.end(143)
        finally:
            os.kill(own_database.server.pid, signal.SIGCONT)
    assert "3 runs are still RUNNING; run `walking-noise rescue runs`" in output


@pytest.mark.slow
def test_a_worker_that_gives_up_saves_its_results_for_the_next(
    impatient: Shell, own_database: EmbeddedDatabase, own_runs: Runs, tmp_path: Path
):
    with worker(impatient, own_runs, WALKING_NOISE_PATIENCE_SECONDS="1") as one:
        one.until(lambda: own_runs.count_documents({"start_time": {"$exists": True}}))
        kill_server(own_database)
        output = one.end(os.EX_TEMPFAIL)
    assert "`walking-noise rescue runs`" in output
    own_database.start()
    assert set(statuses(own_runs).values()) == {"RUNNING"}
    recovery = Recovery(own_runs, None, lambda: None, lease_seconds=3.0)
    until(lambda: recovery.recover_lost().returned)
    with worker(impatient, own_runs, held=False) as second:
        second.end()
    assert results(own_runs) == undisturbed(own_runs)


@pytest.mark.slow
def test_saved_results_are_delivered_by_the_command(
    impatient: Shell, own_database: EmbeddedDatabase, own_runs: Runs, tmp_path: Path
):
    undelivered = tmp_path / "state" / "undelivered"
    with worker(impatient, own_runs) as one:
        one.until(lambda: own_runs.count_documents({"start_time": {"$exists": True}}))
        kill_server(own_database)
        one.go_on()
        one.until(lambda: list(undelivered.glob("*.json")))
        one.process.send_signal(signal.SIGTERM)
        output, _ = one.process.communicate(timeout=200)
    assert f"`walking-noise deliver {undelivered}`" in output
    own_database.start()
    assert "3 results written to the database" in impatient.run("walking-noise", "deliver", str(undelivered))
    assert results(own_runs) == undisturbed(own_runs)
