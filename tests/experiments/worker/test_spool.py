"""Results on disk: delivered to the runs they belong to, and to no others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from experiments.database.connection import Runs
from experiments.database.run_collections import WORKERS
from experiments.errors import UserError
from experiments.worker.delivery.spool import Spool, SpooledResults
from experiments.worker.leases import release_update
from experiments.worker.records.history import WorkerHistory
from experiments.worker.records.run_document import end_fields, start_fields
from tests.experiments.worker.claiming import Fill, claim, start_by_seml, statuses
from tests.experiments.worker.delivering import EXPERIMENT, HOST
from walking_noise import Failure, Result


@pytest.fixture
def parcel(runs: Runs, pending_runs: Fill, result: Result) -> SpooledResults:
    """Results for runs 1, 2 and 3 of a worker that has claimed them."""
    pending_runs([{}] * 3)
    leases, _ = claim(runs, 1, [2, 3])
    worker = WorkerHistory(runs, leases.assignment.token)
    worker.begin({"_id": 1}, 3, host="n", device="cpu", gpu=False, version="1")
    outcomes = {1: end_fields(result, None), 2: end_fields(result, None), 3: end_fields(Failure("it failed"), None)}
    return SpooledResults(runs.name, leases.assignment.token, start_fields(EXPERIMENT, HOST, "main"), outcomes)


def test_what_is_written_is_read_again(parcel: SpooledResults, runs: Runs, tmp_path: Path):
    file = Spool(tmp_path / "undelivered").add(parcel)
    SpooledResults.read(file).deliver(runs.database)
    assert statuses(runs) == {1: "COMPLETED", 2: "COMPLETED", 3: "FAILED"}
    delivered = runs.find_one({"_id": 1})
    assert delivered is not None
    assert delivered["result"] == parcel.outcomes[1]["result"]
    assert abs(delivered["stop_time"] - parcel.outcomes[1]["stop_time"].replace(tzinfo=None)).total_seconds() < 0.01


def test_results_of_a_worker_that_was_taken_for_dead_are_delivered(parcel: SpooledResults, runs: Runs, tmp_path: Path):
    folder = Spool(tmp_path)
    folder.add(parcel)
    runs.update_one({"_id": 2}, {"$set": {"status": "KILLED"}})
    token = {"claim.token": parcel.token, "status": "RUNNING"}
    runs.update_many(token, {"$set": {"status": "PENDING", "returned_by": parcel.token}, "$unset": {"claim": 1}})
    brought = folder.deliver(runs.database, runs.name)
    assert (brought.delivered, brought.outdated, folder.files()) == (3, 0, [])
    assert statuses(runs) == {1: "COMPLETED", 2: "COMPLETED", 3: "FAILED"}
    returned = runs.find_one({"_id": 1})
    assert returned is not None
    assert returned["experiment"]["name"] == "walking_noise"
    assert returned["claim"]["token"] == parcel.token


def test_runs_that_others_have_now_are_left_to_them(parcel: SpooledResults, runs: Runs, tmp_path: Path):
    folder = Spool(tmp_path)
    folder.add(parcel)
    runs.update_one({"_id": 1}, {"$set": {"claim.token": "another worker's", "returned_by": parcel.token}})
    runs.update_one({"_id": 2}, {"$set": {"status": "STAGED"}, "$unset": {"claim": 1}})  # `seml reset`
    runs.delete_one({"_id": 3})
    before = list(runs.find())
    brought = folder.deliver(runs.database)
    assert (brought.delivered, brought.outdated) == (0, 3)
    assert list(runs.find()) == before


def test_a_run_that_seml_has_started_again_takes_a_result_until_a_worker_has_it(parcel: SpooledResults, runs: Runs):
    for run in (1, 2):
        runs.update_one({"_id": run}, release_update(parcel.token))
        start_by_seml(runs, run)
    claim(runs, 2, [])
    assert parcel.deliver(runs.database) == {1, 3}
    assert statuses(runs) == {1: "COMPLETED", 2: "RUNNING", 3: "FAILED"}


def test_results_wait_for_the_database_that_knows_their_worker(parcel: SpooledResults, runs: Runs, tmp_path: Path):
    folder = Spool(tmp_path)
    folder.add(parcel)
    workers, here = runs.database[WORKERS], {"_id": parcel.token}
    known = workers.find_one_and_delete(here)
    assert known is not None
    brought = folder.deliver(runs.database)
    assert (brought.delivered, brought.outdated, brought.foreign, len(folder.files())) == (0, 0, 3, 1)
    workers.insert_one(known)
    assert folder.deliver(runs.database).delivered == 3
    assert folder.files() == []


def test_a_parcel_that_cannot_be_removed_is_told_of(
    parcel: SpooledResults, runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder = Spool(tmp_path)
    file = folder.add(parcel)

    def refuse(self: Path, missing_ok: bool = False) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "unlink", refuse)
    brought = folder.deliver(runs.database)
    assert brought.delivered == 3
    assert brought.faults == [f"{file}: was delivered, and cannot be removed: Permission denied"]


def test_results_are_delivered_once(parcel: SpooledResults, runs: Runs):
    assert parcel.deliver(runs.database) == {1, 2, 3}
    before = list(runs.find())
    assert parcel.deliver(runs.database) == {1, 2, 3}
    assert list(runs.find()) == before


def test_only_those_of_the_collection_are_delivered(parcel: SpooledResults, runs: Runs, tmp_path: Path):
    folder = Spool(tmp_path)
    folder.add(parcel)
    assert folder.deliver(runs.database, "another").delivered == 0
    assert len(folder.files()) == 1


@pytest.mark.parametrize("content", ["", "{", "[]", json.dumps({"collection": "x"})])
def test_what_is_no_parcel_is_told_of_and_left(content: str, runs: Runs, tmp_path: Path):
    file = tmp_path / "damaged.json"
    file.write_text(content)
    with pytest.raises(UserError, match="holds no results"):
        SpooledResults.read(file)
    (fault,) = Spool(tmp_path).deliver(runs.database).faults
    assert "damaged.json" in fault
    assert file.exists()
