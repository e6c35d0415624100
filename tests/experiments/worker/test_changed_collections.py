"""Collections that change under a worker: runs are added, or the database is restored from an earlier dump."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from experiments.database.connection import Document, Runs
from experiments.worker.leases import release_update
from experiments.worker.recovery.lost_workers import Recovery
from tests.experiments.shell import Shell
from tests.experiments.worker.claiming import Fill, statuses
from tests.experiments.worker.disturbed import EPOCHS, HeldWorker, results, undisturbed, until, worker

RUNS: list[Document] = [{"training.epochs": EPOCHS, "data.name": "mnist5k", "seed": seed} for seed in (1, 2, 3)]


@pytest.fixture
def training(shell: Shell, runs: Runs, pending_runs: Fill) -> Iterator[HeldWorker]:
    """A worker that has leased the three runs and is held during their training."""
    pending_runs(RUNS)
    with worker(shell, runs) as first:
        first.until(lambda: runs.count_documents({"info.trained": {"$gt": 0}}) == len(RUNS))
        yield first


def restore(runs: Runs, dump: list[Document]) -> None:
    """What ``mongorestore --drop`` does."""
    runs.delete_many({})
    runs.insert_many(dump)


def move_leases(runs: Runs, hours: int) -> None:
    """Let the leases end later, or earlier if ``hours`` is negative."""
    runs.update_many({}, [{"$set": {"claim.lease": {"$add": ["$claim.lease", hours * 3_600_000]}}}])


def complete_the_rest(shell: Shell, runs: Runs) -> None:
    recovery = Recovery(runs, None, lambda: None, lease_seconds=3.0)
    until(lambda: recovery.recover_lost() and not runs.count_documents({"status": "RUNNING"}))
    pending = runs.find_one({"status": "PENDING"}, sort=[("_id", 1)])
    if pending is not None:
        with worker(shell, runs, run=pending["_id"], held=False) as second:
            second.end()
    assert set(statuses(runs).values()) == {"COMPLETED"}
    assert results(runs) == undisturbed(runs)


@pytest.mark.slow
def test_seeds_added_during_a_training_are_left_to_the_next_worker(shell: Shell, runs: Runs, pending_runs: Fill):
    pending_runs(RUNS)
    added = runs.find_one_and_delete({"_id": 3})
    assert added is not None
    with worker(shell, runs) as first:
        first.until(lambda: runs.count_documents({"info.trained": {"$gt": 0}}))
        runs.insert_one(added)
        first.go_on()
        first.end()
    assert statuses(runs) == {1: "COMPLETED", 2: "COMPLETED", 3: "PENDING"}
    complete_the_rest(shell, runs)


@pytest.mark.slow
@pytest.mark.parametrize("dumped", ["before the start", "during the training"])
def test_a_restored_dump_loses_no_run(dumped: str, shell: Shell, runs: Runs, training: HeldWorker):
    """The worker still trains when the dump is restored; it completes what it holds by the dump, or nothing."""
    held = dumped == "during the training"
    dump = list(runs.find())
    if not held:
        runs.update_many({}, release_update(None))
        dump = list(runs.find())
    runs.update_many({}, {"$set": {"status": "FAILED"}})  # what happens later is not in the dump
    restore(runs, dump)
    training.go_on()
    assert ("no longer holds" in training.end()) is not held
    complete_the_rest(shell, runs)


@pytest.mark.slow
@pytest.mark.parametrize("hours", [1, -1])
def test_a_jump_of_the_databases_clock_loses_no_run(hours: int, runs: Runs, training: HeldWorker):
    """The leases of a live worker, which this clock wrote, are an hour too old or too new."""
    move_leases(runs, -hours)
    assert not Recovery(runs, None, lambda: None, lease_seconds=3.0).recover_lost().returned
    training.go_on()
    training.end()
    assert set(statuses(runs).values()) == {"COMPLETED"}
    assert results(runs) == undisturbed(runs)


@pytest.mark.slow
def test_a_lease_from_the_future_ends(shell: Shell, runs: Runs, training: HeldWorker):
    """The database's clock was set back by an hour after the worker died."""
    os.killpg(training.process.pid, signal.SIGKILL)
    move_leases(runs, 1)
    complete_the_rest(shell, runs)
