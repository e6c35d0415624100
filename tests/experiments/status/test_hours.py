"""``walking-noise hours``: hours used, wasted and still needed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from experiments.cli.app import main
from experiments.database.connection import Runs, server_time
from experiments.plan.throughput import Device, Kind, Rate
from experiments.status.hours_table import describe, study_hours
from experiments.status.worker_statistics import Worker
from experiments.terminal.text_table import show
from tests.experiments.worker.claiming import Fill
from tests.experiments.worker.past import worker

SPEED = Rate(Kind((1, 28, 28), 10, "mlp", False, 128), pack_size=3, step_seconds=1.0, sample_seconds=1e-5, spread=0.1)
DEVICE = Device("H100", processes=1, rates=(SPEED,))


def recorded_worker(collection: Runs, **fields: Any) -> Worker:
    return Worker.of(worker(collection, **fields), server_time(collection.database))


@pytest.mark.parametrize(
    ("fields", "lost", "failed"),
    [
        ({"end": "done", "kept": 0.0}, 0.0, 0.0),
        ({"end": "SIGTERM", "trained": 0.6, "kept": 0.5, "resumed": 0.1}, 10.0 / 5, 0.0),
        ({"end": "SIGTERM", "trained": 0.6, "kept": 0.6}, 0.0, 0.0),
        ({"end": "Slurm task has ended", "trained": 0.5, "kept": 0.0}, 10.0, 0.0),
        ({"end": "SIGTERM", "trained": 0.0, "kept": 0.0}, 10.0, 0.0),  # all the time was start-up
        ({"end": None, "trained": 0.5, "kept": 0.0}, 0.0, 0.0),  # active
        ({"end": None, "trained": 0.5, "kept": 0.25, "ended": 1.0}, 5.0, 0.0),  # the last heartbeat is an hour old
        ({"end": "done", "runs": 4, "failed": 1, "completed": 3}, 0.0, 2.5),
        ({"end": "SIGTERM", "trained": 1.0, "kept": 0.5, "runs": 4, "failed": 2}, 5.0, 2.5),
    ],
)
def test_lost_and_failed_hours(runs: Runs, fields: dict[str, Any], lost: float, failed: float):
    one = recorded_worker(runs, hours=10.0, **fields)
    assert one.hours == pytest.approx(10)
    assert (one.lost_hours, one.failed_hours) == pytest.approx((lost, failed))


@pytest.fixture
def study(runs: Runs, pending_runs: Fill) -> Runs:
    """Ten runs: four completed in two GPU hours; one worker of two others was preempted, another one had them fail."""
    pending_runs([{}] * 10)
    runs.update_many({"_id": {"$lte": 4}}, {"$set": {"status": "COMPLETED"}})
    worker(runs, hours=2.0, ended=9.0, runs=4, completed=4)
    worker(runs, hours=3.0, ended=5.0, leader=5, runs=2, end="SIGTERM", trained=0.75, kept=0.5, returned=2)
    worker(runs, hours=0.5, ended=1.0, leader=5, runs=2, failed=2, gpu=False, device="a CPU")
    return runs


@pytest.fixture
def other(study: Runs) -> Runs:
    """A collection with one run, for which there is neither a completed run nor a measurement."""
    other = study.database[f"{study.name}_other"]
    other.insert_one({"_id": 1, "status": "PENDING", "seml": {}, "config": {}})
    return other


def test_the_table(study: Runs, other: Runs, capsys: pytest.CaptureFixture[str]):
    both = study_hours(study.database, [study.name, other.name], None)
    named = [replace(hours, name=hours.name.replace(study.name, "mnist")) for hours in both]
    show(describe(named))
    assert capsys.readouterr().out == (Path(__file__).parent / "hours.txt").read_text()


def test_the_numbers(study: Runs, other: Runs, found_by_commands: None, tmp_path: Path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert main(["hours", study.name, other.name, "--json", str(tmp_path / "hours.json")]) == 0
    assert "GPU hours wasted: 1 (SIGTERM)" in capsys.readouterr().out
    one, unknown, together = json.loads((tmp_path / "hours.json").read_text())
    assert [one["name"], unknown["name"], together["name"]] == [study.name, other.name, "all 2 collections"]
    assert one["gpu"] == {"used": pytest.approx(5.0), "wasted": {"SIGTERM": pytest.approx(1.0)}}
    assert one["cpu"]["wasted"] == {"runs that failed": pytest.approx(0.5)}
    assert one["planned"] == pytest.approx(6 * 2.0 / 4)
    assert unknown["planned"] is together["planned"] is None
    assert together["runs_left"] == 7


def test_hours_still_needed_leave_out_what_is_trained(study: Runs):
    worker(study, hours=1.0, end=None, leader=5, runs=4, trained=0.5)
    (hours,) = study_hours(study.database, [study.name], None)
    assert hours.planned == pytest.approx((6 - 2) * 0.5)


def test_kinds_without_a_completed_run_use_measured_speeds(study: Runs):
    longer = {"config.training.epochs": 2}
    study.update_many({"_id": {"$gte": 9}}, {"$set": {**longer, "config.seed": 5}})
    study.update_one({"_id": 10}, {"$set": {"config.seed": 6}})
    (hours,) = study_hours(study.database, [study.name], DEVICE)
    measured = 2 * (2 * 32 * SPEED.step_seconds + 2 * 1000 * SPEED.sample_seconds) / 3600
    assert hours.planned == pytest.approx(4 * 0.5 + measured)
    study.update_one({"_id": 10}, {"$set": {"config.model.name": "lenet5"}})
    assert study_hours(study.database, [study.name], DEVICE)[0].planned is None


def test_refusals(study: Runs, found_by_commands: None, capsys: pytest.CaptureFixture[str], tmp_path: Path):
    for arguments, message in (
        (["nowhere"], "there is no collection 'nowhere'"),
        ([study.name, "--throughput", "missing.json"], "missing.json: there is no such file"),
        ([study.name, "--throughput", str(tmp_path)], f"walking-noise: {tmp_path}: Is a directory"),
        ([study.name, "--json", str(tmp_path)], "cannot be written"),
    ):
        assert main(["hours", *arguments]) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert message in line
