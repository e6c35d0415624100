"""What a worker writes: only to runs that are its own, and nothing is lost while the database is away."""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path

import pytest

from experiments.database.connection import Runs
from experiments.database.run_collections import ATTEMPTS, WORKERS
from experiments.worker.delivery import delivery as module
from experiments.worker.records.history import record_lost_workers
from experiments.worker.records.run_document import end_fields
from experiments.worker.recovery.lost_workers import GRACE
from tests.experiments.worker.claiming import Fill
from tests.experiments.worker.delivering import EXPERIMENT, HOST, Line
from walking_noise import Failure, Result


@pytest.fixture
def line(runs: Runs, pending_runs: Fill, tmp_path: Path) -> Line:
    pending_runs([{}, {}, {}])
    return Line(runs, tmp_path)


def test_runs_that_have_begun(line: Line, tmp_path: Path):
    companion = line.document(2)
    assert companion["status"] == "RUNNING"
    assert companion["experiment"] == {**EXPERIMENT, "sources": []}
    assert companion["host"] == HOST
    assert companion["seml"]["output_file"] == str(tmp_path / "runs_2.out")


def test_finished_runs_are_written_together(line: Line, result: Result):
    line.delivery.finish(2, end_fields(result, None))
    line.later(0.2)
    line.delivery.finish(3, end_fields(result, None))
    assert line.document(2)["status"] == "RUNNING"
    line.later(1.0)
    assert line.document(2)["status"] == line.document(3)["status"] == "COMPLETED"
    assert line.document(2)["start_time"] <= line.document(2)["stop_time"]
    assert line.delivery.unfinished == {1}
    assert line.recorded == [{2, 3}]
    assert "metrics" not in line.runs.database.list_collection_names()


def test_a_failed_run_has_a_place_in_history(line: Line):
    line.delivery.finish(2, end_fields(Failure("ValueError: x", "Traceback:\n  line\nValueError: x\n"), None))
    line.later(2.0)
    assert line.document(2)["status"] == "FAILED"
    attempt = line.runs.database[ATTEMPTS].find_one({"collection": line.runs.name})
    assert attempt is not None
    assert (attempt["run"], attempt["end"], attempt["reason"]) == (2, "FAILED", "ValueError: x")
    assert attempt["trace"] == ["Traceback:", "  line", "ValueError: x"]
    assert attempt["config_hash"] == line.document(2)["config_hash"]
    assert attempt["started"] <= attempt["ended"]


def test_results_outlive_a_database_that_is_away(line: Line, result: Result):
    line.reach.away = True
    line.delivery.finish(2, end_fields(result, None))
    line.later(2.0)
    line.delivery.finish(3, end_fields(result, None))
    line.later(2.0)
    assert line.delivery.away
    assert line.delivery.needed
    assert line.delivery.kept_on_disk == len(line.spool.files()) == 2
    assert line.document(2)["status"] == "RUNNING"
    line.reach.away = False
    line.later(60.0)
    assert line.document(2)["status"] == line.document(3)["status"] == "COMPLETED"
    assert (line.delivery.waiting, line.spool.files()) == (0, [])
    assert line.recorded == [{2, 3}]
    assert not line.delivery.away


def test_the_lease_is_renewed_before_anything_else_when_the_database_is_back(line: Line, result: Result):
    line.reach.away = True
    line.delivery.finish(2, end_fields(result, None))
    line.later(30.0)
    line.runs.update_many({}, {"$set": {"suspected": 1}})
    before = line.document(1)["claim"]["lease"]
    line.reach.away = False
    line.later(30.0)
    assert line.document(1)["claim"]["lease"] > before
    assert "suspected" not in line.document(1)


def test_a_worker_gives_up_after_its_patience_and_keeps_all_on_disk(line: Line, result: Result):
    line.reach.away = True
    line.delivery.finish(2, end_fields(result, None))
    line.later(599.0)
    line.later(590.0)
    assert line.delivery.needed
    line.later(30.0)
    assert line.delivery.gave_up
    assert not line.delivery.needed
    assert line.spool.deliver(line.runs.database).delivered == 1
    assert line.document(2)["status"] == "COMPLETED"


def test_results_stay_in_memory_where_the_disk_takes_none(
    line: Line, result: Result, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    (tmp_path / "undelivered").write_text("in the way")
    line.reach.away = True
    line.delivery.finish(2, end_fields(result, None))
    line.later(2.0)
    assert "1 results are in memory only" in caplog.text
    line.reach.away = False
    line.later(60.0)
    assert line.document(2)["status"] == "COMPLETED"


def test_an_acknowledgement_that_got_lost_is_no_second_result(line: Line, result: Result, monkeypatch):
    line.delivery.finish(2, end_fields(result, None))
    line.runs.update_one({"_id": 2}, {"$set": {"status": "COMPLETED", "stop_time": 7}})
    line.later(2.0)
    assert line.document(2)["stop_time"] == 7
    assert line.delivery.lost == set()
    assert line.recorded == [{2}]


def test_a_cancelled_run_stays_cancelled(line: Line, result: Result):
    line.runs.update_one({"_id": 2}, {"$set": {"status": "INTERRUPTED"}})
    cancelled = line.document(2)
    line.later(60.0)
    line.delivery.finish(2, end_fields(result, None))
    line.delivery.finish(3, end_fields(result, None))
    line.later(2.0)
    line.delivery.leases.release()
    assert line.document(2) == cancelled
    assert line.document(3)["status"] == "COMPLETED"
    assert line.delivery.lost == {2}


def test_a_deleted_run_stays_deleted(line: Line, result: Result):
    line.runs.delete_one({"_id": 2})
    line.delivery.finish(2, end_fields(result, None))
    line.later(2.0)
    assert line.runs.find_one({"_id": 2}) is None
    assert line.delivery.lost == {2}


def test_an_owner_whose_token_is_gone_writes_nothing_more(line: Line, result: Result):
    line.runs.update_many({}, {"$set": {"claim.token": "another worker's"}})
    before = list(line.runs.find())
    line.delivery.finish(2, end_fields(result, None))
    line.later(60.0)
    assert not line.delivery.needed
    assert line.delivery.lost == {2}
    assert line.delivery.leases.release() == 0
    assert list(line.runs.find()) == before


def test_a_run_is_completed_once(line: Line, result: Result):
    line.delivery.finish(2, end_fields(result, None))
    line.later(2.0)
    completed = line.document(2)
    line.delivery.finish(2, end_fields(Failure("late"), None))
    line.later(2.0)
    assert line.document(2) == completed


def test_heartbeats(line: Line, result: Result):
    line.delivery.finish(3, end_fields(result, None))
    line.later(2.0)
    finished, before = line.document(3), line.document(2)
    line.delivery.numbers = {"resumed": 0.0, "trained": 0.25, "kept": 0.125}
    line.later(module.BEAT_SECONDS)
    after = line.document(2)
    assert after["heartbeat"] > before["heartbeat"]
    assert after["claim"]["lease"] > before["claim"]["lease"]
    assert after["info"] == {"trained": 0.25}
    assert line.document(3) == finished
    worker = line.runs.database[WORKERS].find_one({"_id": line.delivery.leases.assignment.token})
    assert worker is not None
    assert (worker["trained"], worker["kept"], worker["completed"], worker["failed"]) == (0.25, 0.125, 1, 0)
    assert (worker["device"], worker["gpu"], worker["runs"]) == ("a GPU", True, 3)
    assert worker["started"] < worker["beat"]


def test_a_worker_that_counts_as_lost_does_not_rewrite_its_history(line: Line):
    token = line.delivery.leases.assignment.token
    record_lost_workers(line.runs, [token], "its Slurm task is gone")
    before = line.runs.database[WORKERS].find_one({"_id": token})
    line.later(module.BEAT_SECONDS + 1)
    line.delivery.end("done")
    assert line.runs.database[WORKERS].find_one({"_id": token}) == before


def test_when_all_runs_are_cancelled_there_is_nothing_left_to_train(line: Line):
    line.runs.update_many({}, {"$set": {"status": "INTERRUPTED"}})
    line.later(60.0)
    assert not line.delivery.needed


def test_the_thread_delivers_by_itself(line: Line, result: Result):
    line.delivery.clock = time.monotonic
    with line.delivery as delivery:
        delivery.finish(2, end_fields(result, None))
        delivery.drain(lambda: False)
    assert line.document(2)["status"] == "COMPLETED"


def test_draining_ends_where_it_must(line: Line, result: Result):
    line.reach.away = True
    line.delivery.clock = time.monotonic
    with line.delivery as delivery:
        delivery.finish(2, end_fields(result, None))
        delivery.drain(lambda: delivery.away)
    assert delivery.waiting == delivery.kept_on_disk == 1


def test_what_waits_at_the_end_is_on_disk(line: Line, result: Result):
    line.reach.away = True
    line.later(0.2)
    line.delivery.clock = time.monotonic
    with line.delivery as delivery:
        delivery._next_attempt = float("inf")
        delivery.finish(2, end_fields(result, None))
        delivery.drain(lambda: delivery.away or True)
    assert delivery.waiting == delivery.kept_on_disk == 1
    line.reach.away = False
    assert line.spool.deliver(line.runs.database).delivered == 1


def test_a_slow_database_gets_heartbeats_before_the_lease_is_over(line: Line, monkeypatch: pytest.MonkeyPatch):
    renew, beats = type(line.delivery.leases).renew, list[float]()

    def slowly(*given: object, **info: object) -> int:
        beats.append(line.seconds)
        line.seconds += 15.0
        return renew(*given, **info)  # type: ignore[arg-type]

    monkeypatch.setattr(type(line.delivery.leases), "renew", slowly)
    while line.seconds < 1000:
        line.later(0.5)
    assert max(after - before for before, after in pairwise([0.0, *beats])) < line.delivery.leases.lease_seconds / 1.5


def test_with_a_short_lease_the_database_is_tried_more_often(runs: Runs, pending_runs: Fill, tmp_path: Path):
    pending_runs([{}, {}, {}])
    line = Line(runs, tmp_path, lease_seconds=10.0)
    line.reach.away = True
    line.later(3.0)
    attempts = [line.seconds]
    while line.seconds < 100:
        line.later(0.1)
        attempts.append(line.delivery._next_attempt)
    assert max(after - before for before, after in pairwise(attempts)) < GRACE * 10.0


def test_only_runs_with_a_result_let_go_of_what_is_kept_for_them(line: Line, result: Result):
    line.delivery.finish(2, end_fields(Failure("out of memory"), None))
    line.delivery.finish(3, end_fields(result, None))
    line.later(2.0)
    assert line.recorded == [{3}]


def test_runs_whose_outcome_waits_are_not_recorded(line: Line, result: Result, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "HOLD_RUNS", 1)
    line.delivery.finish(2, end_fields(result, None))
    line.delivery.finish(3, end_fields(result, None))
    line.later(2.0)
    assert line.delivery.unrecorded == {1, 3}


def test_logs_that_cannot_be_written_are_told_of_in_a_line(
    line: Line, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    for run in (2, 3):
        (tmp_path / f"runs_{run}.out").mkdir()
    line.delivery.logs.write([1, 2, 3], "given back")
    (said,) = caplog.messages
    assert said == f"2 logs of runs are not complete; the first: {tmp_path / 'runs_2.out'}: Is a directory"


def test_a_log_for_each_companion(line: Line, tmp_path: Path):
    line.delivery.logs.open([1, 2, 3])
    line.delivery.logs.write([1, 2], "given back")
    lines = (tmp_path / "runs_2.out").read_text().splitlines()
    assert len(lines) == 2
    assert "trained together with 2 others by the worker of run 1" in lines[0]
    assert str(tmp_path / "runs_1.out") in lines[0]
    assert lines[1].endswith("given back")
    assert not (tmp_path / "runs_1.out").exists()
