"""Spool: results on disk are delivered to their own runs only."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from experiments.database.connection import Runs
from experiments.database.run_collections import WORKERS
from experiments.errors import UserError
from experiments.worker.delivery.spool import SpooledResults, deliver_spool, spooled_files
from experiments.worker.leases import release_update
from experiments.worker.records.history import WorkerHistory
from experiments.worker.records.run_document import end_fields, start_fields
from tests.experiments.worker.claiming import Fill, acquire_leases, start_by_seml, statuses
from tests.experiments.worker.delivering import EXPERIMENT, HOST
from walking_noise import Failure, Result

FILE = "token-0.json"


@pytest.fixture
def spooled(runs: Runs, pending_runs: Fill, result: Result) -> SpooledResults:
    """Results of runs 1, 2 and 3 from a worker that has leased them."""
    pending_runs([{}] * 3)
    leases, _ = acquire_leases(runs, 1, [2, 3])
    worker = WorkerHistory(runs, leases.assignment.token)
    worker.begin({"_id": 1}, 3, host="n", device="cpu", gpu=False, version="1")
    outcomes = {1: end_fields(result, None), 2: end_fields(result, None), 3: end_fields(Failure("it failed"), None)}
    return SpooledResults(runs.name, leases.assignment.token, start_fields(EXPERIMENT, HOST, "main"), outcomes)


def test_results_are_read_as_they_were_written(spooled: SpooledResults, runs: Runs, tmp_path: Path):
    file = tmp_path / "undelivered" / FILE
    spooled.write(file)
    SpooledResults.read(file).deliver(runs.database)
    assert statuses(runs) == {1: "COMPLETED", 2: "COMPLETED", 3: "FAILED"}
    delivered = runs.find_one({"_id": 1})
    assert delivered is not None
    assert delivered["result"] == spooled.outcomes[1]["result"]
    assert abs(delivered["stop_time"] - spooled.outcomes[1]["stop_time"].replace(tzinfo=None)).total_seconds() < 0.01


def test_results_of_a_worker_that_counted_as_lost_are_delivered(spooled: SpooledResults, runs: Runs, tmp_path: Path):
    spooled.write(tmp_path / FILE)
    runs.update_one({"_id": 2}, {"$set": {"status": "KILLED"}})
    token = {"claim.token": spooled.token, "status": "RUNNING"}
    runs.update_many(token, {"$set": {"status": "PENDING", "returned_by": spooled.token}, "$unset": {"claim": 1}})
    counts = deliver_spool(tmp_path, runs.database, runs.name)
    assert (counts.delivered, counts.outdated, spooled_files(tmp_path)) == (3, 0, [])
    assert statuses(runs) == {1: "COMPLETED", 2: "COMPLETED", 3: "FAILED"}
    returned = runs.find_one({"_id": 1})
    assert returned is not None
    assert returned["experiment"]["name"] == "walking_noise"
    assert returned["claim"]["token"] == spooled.token


def test_runs_of_other_workers_are_not_changed(spooled: SpooledResults, runs: Runs, tmp_path: Path):
    spooled.write(tmp_path / FILE)
    runs.update_one({"_id": 1}, {"$set": {"claim.token": "another worker's", "returned_by": spooled.token}})
    runs.update_one({"_id": 2}, {"$set": {"status": "STAGED"}, "$unset": {"claim": 1}})  # `seml reset`
    runs.delete_one({"_id": 3})
    before = list(runs.find())
    counts = deliver_spool(tmp_path, runs.database)
    assert (counts.delivered, counts.outdated) == (0, 3)
    assert list(runs.find()) == before


def test_a_run_started_again_accepts_a_result_until_a_worker_leases_it(spooled: SpooledResults, runs: Runs):
    for run in (1, 2):
        runs.update_one({"_id": run}, release_update(spooled.token))
        start_by_seml(runs, run)
    acquire_leases(runs, 2, [])
    assert spooled.deliver(runs.database) == {1, 3}
    assert statuses(runs) == {1: "COMPLETED", 2: "RUNNING", 3: "FAILED"}


def test_results_wait_for_the_database_that_knows_their_worker(spooled: SpooledResults, runs: Runs, tmp_path: Path):
    spooled.write(tmp_path / FILE)
    workers, here = runs.database[WORKERS], {"_id": spooled.token}
    known = workers.find_one_and_delete(here)
    assert known is not None
    counts = deliver_spool(tmp_path, runs.database)
    assert (counts.delivered, counts.outdated, counts.foreign, len(spooled_files(tmp_path))) == (0, 0, 3, 1)
    workers.insert_one(known)
    assert deliver_spool(tmp_path, runs.database).delivered == 3
    assert spooled_files(tmp_path) == []


def test_a_file_that_cannot_be_removed_is_reported(
    spooled: SpooledResults, runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    file = tmp_path / FILE
    spooled.write(file)

    def refuse(self: Path, missing_ok: bool = False) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "unlink", refuse)
    counts = deliver_spool(tmp_path, runs.database)
    assert counts.delivered == 3
    assert counts.faults == [f"{file}: was delivered, but cannot be removed: Permission denied"]


def test_results_are_delivered_once(spooled: SpooledResults, runs: Runs):
    assert spooled.deliver(runs.database) == {1, 2, 3}
    before = list(runs.find())
    assert spooled.deliver(runs.database) == {1, 2, 3}
    assert list(runs.find()) == before


def test_only_results_of_the_collection_are_delivered(spooled: SpooledResults, runs: Runs, tmp_path: Path):
    spooled.write(tmp_path / FILE)
    assert deliver_spool(tmp_path, runs.database, "another").delivered == 0
    assert len(spooled_files(tmp_path)) == 1


@pytest.mark.parametrize("content", ["", "{", "[]", json.dumps({"collection": "x"})])
def test_a_file_without_results_is_reported_and_left_unchanged(content: str, runs: Runs, tmp_path: Path):
    file = tmp_path / "damaged.json"
    file.write_text(content)
    with pytest.raises(UserError, match="holds no results"):
        SpooledResults.read(file)
    (fault,) = deliver_spool(tmp_path, runs.database).faults
    assert "damaged.json" in fault
    assert file.exists()
