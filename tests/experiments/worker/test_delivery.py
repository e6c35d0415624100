"""Delivery: a worker writes only to runs that it holds, and loses no result while the database is unreachable."""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path

import pytest

from experiments.database.connection import Runs
from experiments.database.run_collections import ATTEMPTS, WORKERS
from experiments.worker.delivery import delivery
from experiments.worker.delivery.spool import deliver_spool, spooled_files
from experiments.worker.records.history import record_lost_workers
from experiments.worker.records.run_document import end_fields
from experiments.worker.recovery.lost_workers import GRACE
from tests.experiments.worker.claiming import Fill
from tests.experiments.worker.delivering import EXPERIMENT, HOST, DeliveryHarness
from walking_noise import Failure, Result


@pytest.fixture
def harness(runs: Runs, pending_runs: Fill, tmp_path: Path) -> DeliveryHarness:
    pending_runs([{}, {}, {}])
    return DeliveryHarness(runs, tmp_path)


def test_start_of_runs(harness: DeliveryHarness, tmp_path: Path):
    companion = harness.document(2)
    assert companion["status"] == "RUNNING"
    assert companion["experiment"] == {**EXPERIMENT, "sources": []}
    assert companion["host"] == HOST
    assert companion["seml"]["output_file"] == str(tmp_path / "runs_2.out")


def test_finished_runs_are_written_together(harness: DeliveryHarness, result: Result):
    harness.delivery.finish(2, end_fields(result, None))
    harness.advance(0.2)
    harness.delivery.finish(3, end_fields(result, None))
    assert harness.document(2)["status"] == "RUNNING"
    harness.advance(1.0)
    assert harness.document(2)["status"] == harness.document(3)["status"] == "COMPLETED"
    assert harness.document(2)["start_time"] <= harness.document(2)["stop_time"]
    assert harness.delivery.unfinished == {1}
    assert harness.recorded == [{2, 3}]
    assert "metrics" not in harness.runs.database.list_collection_names()


def test_a_failed_run_is_recorded_in_the_history(harness: DeliveryHarness):
    harness.delivery.finish(2, end_fields(Failure("ValueError: x", "Traceback:\n  line\nValueError: x\n"), None))
    harness.advance(2.0)
    assert harness.document(2)["status"] == "FAILED"
    attempt = harness.runs.database[ATTEMPTS].find_one({"collection": harness.runs.name})
    assert attempt is not None
    assert (attempt["run"], attempt["end"], attempt["reason"]) == (2, "FAILED", "ValueError: x")
    assert attempt["trace"] == ["Traceback:", "  line", "ValueError: x"]
    assert attempt["config_hash"] == harness.document(2)["config_hash"]
    assert attempt["started"] <= attempt["ended"]


def test_results_survive_an_outage_of_the_database(harness: DeliveryHarness, result: Result):
    harness.connection.unreachable = True
    harness.delivery.finish(2, end_fields(result, None))
    harness.advance(2.0)
    harness.delivery.finish(3, end_fields(result, None))
    harness.advance(2.0)
    assert harness.delivery.unreachable
    assert harness.delivery.needed
    assert harness.delivery.spooled == len(spooled_files(harness.spool)) == 2
    assert harness.document(2)["status"] == "RUNNING"
    harness.connection.unreachable = False
    harness.advance(60.0)
    assert harness.document(2)["status"] == harness.document(3)["status"] == "COMPLETED"
    assert (harness.delivery.queued, spooled_files(harness.spool)) == (0, [])
    assert harness.recorded == [{2, 3}]
    assert not harness.delivery.unreachable


def test_after_an_outage_the_leases_are_renewed_first(harness: DeliveryHarness, result: Result):
    harness.connection.unreachable = True
    harness.delivery.finish(2, end_fields(result, None))
    harness.advance(30.0)
    harness.runs.update_many({}, {"$set": {"suspected": 1}})
    before = harness.document(1)["claim"]["lease"]
    harness.connection.unreachable = False
    harness.advance(30.0)
    assert harness.document(1)["claim"]["lease"] > before
    assert "suspected" not in harness.document(1)


def test_a_worker_gives_up_after_its_patience_and_saves_all_results_on_disk(harness: DeliveryHarness, result: Result):
    harness.connection.unreachable = True
    harness.delivery.finish(2, end_fields(result, None))
    harness.advance(599.0)
    harness.advance(590.0)
    assert harness.delivery.needed
    harness.advance(30.0)
    assert harness.delivery.gave_up
    assert not harness.delivery.needed
    assert deliver_spool(harness.spool, harness.runs.database).delivered == 1
    assert harness.document(2)["status"] == "COMPLETED"


def test_results_stay_in_memory_if_they_cannot_be_saved_on_disk(
    harness: DeliveryHarness, result: Result, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    (tmp_path / "undelivered").write_text("in the way")
    harness.connection.unreachable = True
    harness.delivery.finish(2, end_fields(result, None))
    harness.advance(2.0)
    assert "1 result is in memory only" in caplog.text
    harness.connection.unreachable = False
    harness.advance(60.0)
    assert harness.document(2)["status"] == "COMPLETED"


def test_a_lost_acknowledgement_does_not_write_the_result_again(harness: DeliveryHarness, result: Result, monkeypatch):
    harness.delivery.finish(2, end_fields(result, None))
    harness.runs.update_one({"_id": 2}, {"$set": {"status": "COMPLETED", "stop_time": 7}})
    harness.advance(2.0)
    assert harness.document(2)["stop_time"] == 7
    assert harness.delivery.discarded == set()
    assert harness.recorded == [{2}]


def test_a_cancelled_run_stays_cancelled(harness: DeliveryHarness, result: Result):
    harness.runs.update_one({"_id": 2}, {"$set": {"status": "INTERRUPTED"}})
    cancelled = harness.document(2)
    harness.advance(60.0)
    harness.delivery.finish(2, end_fields(result, None))
    harness.delivery.finish(3, end_fields(result, None))
    harness.advance(2.0)
    harness.delivery.leases.release()
    assert harness.document(2) == cancelled
    assert harness.document(3)["status"] == "COMPLETED"
    assert harness.delivery.discarded == {2}


def test_a_deleted_run_stays_deleted(harness: DeliveryHarness, result: Result):
    harness.runs.delete_one({"_id": 2})
    harness.delivery.finish(2, end_fields(result, None))
    harness.advance(2.0)
    assert harness.runs.find_one({"_id": 2}) is None
    assert harness.delivery.discarded == {2}


def test_a_worker_whose_token_was_replaced_writes_nothing(harness: DeliveryHarness, result: Result):
    harness.runs.update_many({}, {"$set": {"claim.token": "another worker's"}})
    before = list(harness.runs.find())
    harness.delivery.finish(2, end_fields(result, None))
    harness.advance(60.0)
    assert not harness.delivery.needed
    assert harness.delivery.discarded == {2}
    assert harness.delivery.leases.release() == 0
    assert list(harness.runs.find()) == before


def test_a_run_is_completed_once(harness: DeliveryHarness, result: Result):
    harness.delivery.finish(2, end_fields(result, None))
    harness.advance(2.0)
    completed = harness.document(2)
    harness.delivery.finish(2, end_fields(Failure("late"), None))
    harness.advance(2.0)
    assert harness.document(2) == completed


def test_heartbeats(harness: DeliveryHarness, result: Result):
    harness.delivery.finish(3, end_fields(result, None))
    harness.advance(2.0)
    finished, before = harness.document(3), harness.document(2)
    harness.delivery.numbers = {"resumed": 0.0, "trained": 0.25, "kept": 0.125}
    harness.advance(delivery.BEAT_SECONDS)
    after = harness.document(2)
    assert after["heartbeat"] > before["heartbeat"]
    assert after["claim"]["lease"] > before["claim"]["lease"]
    assert after["info"] == {"trained": 0.25}
    assert harness.document(3) == finished
    worker = harness.runs.database[WORKERS].find_one({"_id": harness.delivery.leases.assignment.token})
    assert worker is not None
    assert (worker["trained"], worker["kept"], worker["completed"], worker["failed"]) == (0.25, 0.125, 1, 0)
    assert (worker["device"], worker["gpu"], worker["runs"]) == ("a GPU", True, 3)
    assert worker["started"] < worker["beat"]


def test_a_lost_worker_does_not_change_its_history(harness: DeliveryHarness):
    token = harness.delivery.leases.assignment.token
    record_lost_workers(harness.runs, [token], "Slurm task has ended")
    before = harness.runs.database[WORKERS].find_one({"_id": token})
    harness.advance(delivery.BEAT_SECONDS + 1)
    harness.delivery.end("done")
    assert harness.runs.database[WORKERS].find_one({"_id": token}) == before


def test_nothing_is_left_to_train_when_all_runs_are_cancelled(harness: DeliveryHarness):
    harness.runs.update_many({}, {"$set": {"status": "INTERRUPTED"}})
    harness.advance(60.0)
    assert not harness.delivery.needed


def test_the_thread_delivers_results(harness: DeliveryHarness, result: Result):
    harness.delivery.clock = time.monotonic
    with harness.delivery as delivery:
        delivery.finish(2, end_fields(result, None))
        delivery.drain(lambda: False)
    assert harness.document(2)["status"] == "COMPLETED"


def test_draining_ends_when_the_database_is_unreachable(harness: DeliveryHarness, result: Result):
    harness.connection.unreachable = True
    harness.delivery.clock = time.monotonic
    with harness.delivery as delivery:
        delivery.finish(2, end_fields(result, None))
        delivery.drain(lambda: delivery.unreachable)
    assert delivery.queued == delivery.spooled == 1


def test_queued_results_are_saved_on_disk_at_the_end(harness: DeliveryHarness, result: Result):
    harness.connection.unreachable = True
    harness.advance(0.2)
    harness.delivery.clock = time.monotonic
    with harness.delivery as delivery:
        delivery._next_attempt = float("inf")
        delivery.finish(2, end_fields(result, None))
        delivery.drain(lambda: delivery.unreachable or True)
    assert delivery.queued == delivery.spooled == 1
    harness.connection.unreachable = False
    assert deliver_spool(harness.spool, harness.runs.database).delivered == 1


def test_heartbeats_reach_a_slow_database_before_the_lease_expires(
    harness: DeliveryHarness, monkeypatch: pytest.MonkeyPatch
):
    renew, beats = type(harness.delivery.leases).renew, list[float]()

    def slow_renew(*arguments: object, **info: object) -> int:
        beats.append(harness.seconds)
        harness.seconds += 15.0
        return renew(*arguments, **info)  # type: ignore[arg-type]

    monkeypatch.setattr(type(harness.delivery.leases), "renew", slow_renew)
    while harness.seconds < 1000:
        harness.advance(0.5)
    assert (
        max(after - before for before, after in pairwise([0.0, *beats])) < harness.delivery.leases.lease_seconds / 1.5
    )


def test_with_a_short_lease_an_unreachable_database_is_retried_more_often(
    runs: Runs, pending_runs: Fill, tmp_path: Path
):
    pending_runs([{}, {}, {}])
    harness = DeliveryHarness(runs, tmp_path, lease_seconds=10.0)
    harness.connection.unreachable = True
    harness.advance(3.0)
    attempts = [harness.seconds]
    while harness.seconds < 100:
        harness.advance(0.1)
        attempts.append(harness.delivery._next_attempt)
    assert max(after - before for before, after in pairwise(attempts)) < GRACE * 10.0


def test_only_runs_with_a_result_are_reported_as_recorded(harness: DeliveryHarness, result: Result):
    harness.delivery.finish(2, end_fields(Failure("out of memory"), None))
    harness.delivery.finish(3, end_fields(result, None))
    harness.advance(2.0)
    assert harness.recorded == [{3}]


def test_runs_with_a_queued_outcome_are_unrecorded(
    harness: DeliveryHarness, result: Result, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(delivery, "FLUSH_RUNS", 1)
    harness.delivery.finish(2, end_fields(result, None))
    harness.delivery.finish(3, end_fields(result, None))
    harness.advance(2.0)
    assert harness.delivery.unrecorded == {1, 3}


def test_logs_that_cannot_be_written_are_reported_in_one_line(
    harness: DeliveryHarness, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    for run in (2, 3):
        (tmp_path / f"runs_{run}.out").mkdir()
    harness.delivery.logs.write([1, 2, 3], "released")
    (message,) = caplog.messages
    assert message == f"the logs of 2 runs are incomplete; first error: {tmp_path / 'runs_2.out'}: Is a directory"


def test_a_log_for_each_companion(harness: DeliveryHarness, tmp_path: Path):
    harness.delivery.logs.open([1, 2, 3])
    harness.delivery.logs.write([1, 2], "released")
    lines = (tmp_path / "runs_2.out").read_text().splitlines()
    assert len(lines) == 2
    assert "trained together with 2 other runs by the worker of run 1" in lines[0]
    assert str(tmp_path / "runs_1.out") in lines[0]
    assert lines[1].endswith("released")
    assert not (tmp_path / "runs_1.out").exists()
