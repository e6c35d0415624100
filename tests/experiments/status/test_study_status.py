"""``walking-noise watch``: its numbers, the size of its screen, and its behaviour while the database is unavailable."""

from __future__ import annotations

import dataclasses
import datetime
import io
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console
from seml.settings import SETTINGS

from experiments.cli.app import main
from experiments.database.connection import DatabaseError, Runs
from experiments.status import watch_loop
from experiments.status.progress_text import MAX_QUERY_SHARE
from experiments.status.study_status import StudyStatus, study_status
from experiments.status.watch_screen import HEIGHT, WIDTH, screen
from experiments.status.worker_statistics import Worker
from tests.experiments.shell import Shell
from tests.experiments.worker.claiming import Fill
from tests.experiments.worker.past import fail, worker

NOW = datetime.datetime(2026, 5, 1, 12)
PLAIN = Worker(
    collection="mnist", leader=1, host="n01", task="4711_3", gpu=True, runs=512, resumed=0.0, trained=0.5, kept=0.4,
    completed=0, failed=0, started=NOW - datetime.timedelta(hours=1), until=NOW, end_reason=None,
    heartbeat_age=datetime.timedelta(0),
)  # fmt: skip


def a_worker(*, hours: float = 1.0, ago: float = 0.0, **changes: object) -> Worker:
    """A worker that was active for ``hours``, until ``ago`` hours before :data:`NOW`."""
    until = NOW - datetime.timedelta(hours=ago)
    times = {"started": until - datetime.timedelta(hours=hours), "until": until, "heartbeat_age": NOW - until}
    return dataclasses.replace(PLAIN, **{**times, **changes})  # type: ignore[arg-type]


def study(*workers: Worker, **counts: int) -> StudyStatus:
    return StudyStatus(NOW, {"mnist": Counter(counts)}, list(workers), [])


def text(status: StudyStatus, height: int = HEIGHT, *, colours: bool = False) -> str:
    stream = io.StringIO()
    console = Console(file=stream, width=WIDTH, force_terminal=colours, color_system="standard" if colours else None)
    console.print(screen(status, height))
    return stream.getvalue()


def test_the_screen():
    status = study(
        a_worker(),
        a_worker(host="n02", task=None, leader=77, hours=0.5, trained=0.9, resumed=0.4),
        a_worker(host="n03", ago=0.5),
        a_worker(host="n04", hours=3.0, ago=5.0, end_reason="done", trained=1.0, kept=1.0, completed=512),
        COMPLETED=512, RUNNING=1536, PENDING=4000, FAILED=12,
    )  # fmt: skip
    status.causes.append(("RuntimeError: CUDA error (pack.py, in forward)", 12))
    assert text(status) == (Path(__file__).parent / "watch.txt").read_text()


def test_a_stopped_study_is_named(runs: Runs, pending_runs: Fill):
    pending_runs([{}] * 9)
    fail(runs, range(1, 9), worker(runs))
    lines = text(study_status(runs.database, [runs.name])).splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith(f"! {runs.name} is stopped: no run is"))
    assert lines[first + 1] == f"  the way on: walking-noise failures {runs.name}"
    assert lines[-1] == f"details: `walking-noise failures {runs.name}`"


def test_the_screen_fits_with_many_workers_collections_and_causes():
    many = [a_worker(host=f"node-with-a-long-name-{number:03}", task=f"123456_{number}") for number in range(300)]
    unresponsive = [a_worker(host="lost", ago=1.0) for _ in range(40)]
    counts = {f"collection_with_a_long_name_{number}": Counter(COMPLETED=5, FAILED=7, KILLED=1) for number in range(20)}
    status = StudyStatus(NOW, counts, many + unresponsive, [(f"{'cause ' * 30}{number}", 7) for number in range(9)])
    lines = text(status).splitlines()
    assert len(lines) <= HEIGHT
    assert max(map(len, lines)) <= WIDTH
    assert "17 others" in text(status)
    assert " more workers with " in text(status)
    assert "40 unresponsive workers" in text(status)
    assert "6 more causes" in text(status)
    assert len(text(status, 60).splitlines()) <= 60


def test_colours_only_on_a_terminal():
    status = study(a_worker(), COMPLETED=1, FAILED=2, PENDING=3)
    assert "\033[" in text(status, colours=True)
    assert "\033[" not in text(status)


def test_every_status_has_a_place_in_the_bar():
    line = text(study(COMPLETED=100_000, RUNNING=1, FAILED=1)).splitlines()[0]
    assert line.count("▒") == line.count("!") == 1


def test_rates():
    status = study(
        a_worker(hours=2.0, trained=0.5, resumed=0.25, runs=400),  # 100 runs trained, half of them in the last hour
        a_worker(hours=1.0, ago=10.0, end_reason="done", trained=1.0, runs=50, completed=50),
        COMPLETED=50, RUNNING=400, PENDING=350,
    )  # fmt: skip
    assert status.runs_last_hour == pytest.approx(50)
    assert status.hours_left == pytest.approx((400 + 350 - 200) / 50)


def test_no_time_left_without_an_active_worker():
    assert study(RUNNING=1, PENDING=9).hours_left is None
    assert study(a_worker(hours=0.01), RUNNING=1, PENDING=9).hours_left is None
    assert study(a_worker(ago=1.0), RUNNING=1, PENDING=9).hours_left is None
    assert "no runs left to train" in text(study(a_worker(end_reason="done"), COMPLETED=9))


def test_runs_whose_worker_is_starting_up():
    busy = a_worker(runs=512, completed=500, failed=2)
    assert study(busy, RUNNING=10).starting_runs == 0
    assert study(busy, RUNNING=8).starting_runs == 0
    assert study(a_worker(end_reason="done"), RUNNING=4).starting_runs == 4
    assert "4 RUNNING (4 starting up), 1 PENDING" in text(study(RUNNING=4, PENDING=1, COMPLETED=9))


def test_status_of_a_collection(runs: Runs, pending_runs: Fill):
    pending_runs([{}] * 6)
    working, lost = worker(runs, end=None, runs=3), worker(runs, end=None, ended=1.0)
    runs.update_many({"_id": {"$in": [1, 2]}}, {"$set": {"status": "COMPLETED"}})
    fail(runs, [3], lost)
    status = study_status(runs.database, [runs.name])
    assert status.counts == {runs.name: {"COMPLETED": 2, "FAILED": 1, "PENDING": 3}}
    workers = [(one.host, one.runs, one.unresponsive) for one in status.open_workers]
    assert workers == [("n01", 1, True), ("n01", 3, False)]
    assert [count for _, count in status.causes] == [1]
    assert working["collection"] == runs.name


def test_once(runs: Runs, pending_runs: Fill, found_by_commands: None, capsys: pytest.CaptureFixture[str]):
    pending_runs([{}] * 3)
    assert main(["watch", runs.name, "--once"]) == 0
    printed = capsys.readouterr().out
    assert "0 of 3 done" in printed
    assert "\033" not in printed
    assert main(["watch", "nowhere", "--once"]) == 1
    assert "there is no collection 'nowhere'" in capsys.readouterr().err


def test_it_fails_if_there_is_no_database_at_first(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(SETTINGS.DATABASE, "MONGODB_CONFIG_PATH", tmp_path / "mongodb.config")
    assert main(["watch", "mnist"]) == 1
    assert "walking-noise: no database: " in capsys.readouterr().err


def test_it_continues_without_the_database(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    available, unavailable = study(COMPLETED=6, PENDING=2), DatabaseError("no database answers at there:1")
    answers: Iterator[DatabaseError | StudyStatus] = iter((available, unavailable, study(COMPLETED=7, PENDING=1)))
    slept: list[float] = []

    def query(names: object) -> tuple[StudyStatus, float]:
        answer = next(answers, None)
        if answer is None:
            raise KeyboardInterrupt
        if isinstance(answer, DatabaseError):
            raise answer
        return answer, 2.0

    monkeypatch.setattr(watch_loop, "query", query)
    monkeypatch.setattr(watch_loop, "sleep", slept.append)
    assert main(["watch", "mnist", "--seconds", "7"]) == 0
    printed = capsys.readouterr().out
    assert "no database answers at there:1; trying again" in printed
    assert "6 of 8 done" in printed
    assert "7 of 8 done" in printed
    assert slept == pytest.approx([2.0 / MAX_QUERY_SHARE - 2.0] * 3)


def test_ctrl_c_ends_it_without_a_traceback(runs: Runs, pending_runs: Fill, shell: Shell):
    pending_runs([{}])
    with shell.start("walking-noise", "watch", runs.name, PYTHONUNBUFFERED="1") as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=60)
    assert "0 of 1 done" in first
    assert "Traceback" not in rest
    assert process.returncode == 0
