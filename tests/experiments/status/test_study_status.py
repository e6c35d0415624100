"""``walking-noise watch``: what it counts, that it fits a terminal, and that it goes on when the database is away."""

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
from experiments.status.progress_text import SHARE
from experiments.status.study_status import StudyStatus, study_status
from experiments.status.watch_screen import HEIGHT, WIDTH, screen
from experiments.status.worker_statistics import Worker, hours_at_work
from tests.experiments.shell import Shell
from tests.experiments.worker.claiming import Fill
from tests.experiments.worker.past import fail, worker

NOW = datetime.datetime(2026, 5, 1, 12)
PLAIN = Worker(
    collection="mnist", leader=1, host="n01", task="4711_3", gpu=True, runs=512, resumed=0.0, trained=0.5, kept=0.4,
    completed=0, failed=0, started=NOW - datetime.timedelta(hours=1), until=NOW, end=None, age=datetime.timedelta(0),
)  # fmt: skip


def one(*, hours: float = 1.0, ago: float = 0.0, **changes: object) -> Worker:
    """A worker that worked for so many hours, until so many hours ago."""
    until = NOW - datetime.timedelta(hours=ago)
    times = {"started": until - datetime.timedelta(hours=hours), "until": until, "age": NOW - until}
    return dataclasses.replace(PLAIN, **{**times, **changes})  # type: ignore[arg-type]


def stand(*workers: Worker, **counts: int) -> StudyStatus:
    return StudyStatus(NOW, {"mnist": Counter(counts)}, list(workers), [])


def text(now: StudyStatus, height: int = HEIGHT, *, colours: bool = False) -> str:
    stream = io.StringIO()
    console = Console(file=stream, width=WIDTH, force_terminal=colours, color_system="standard" if colours else None)
    console.print(screen(now, height))
    return stream.getvalue()


def test_the_screen():
    now = stand(
        one(),
        one(host="n02", task=None, leader=77, hours=0.5, trained=0.9, resumed=0.4),
        one(host="n03", ago=0.5),
        one(host="n04", hours=3.0, ago=5.0, end="done", trained=1.0, kept=1.0, completed=512),
        COMPLETED=512, RUNNING=1536, PENDING=4000, FAILED=12,
    )  # fmt: skip
    now.causes.append(("RuntimeError: CUDA error (pack.py, in forward)", 12))
    assert text(now) == (Path(__file__).parent / "watch.txt").read_text()


def test_it_fits_however_many_packs_collections_and_causes_there_are():
    many = [one(host=f"node-with-a-long-name-{number:03}", task=f"123456_{number}") for number in range(300)]
    silent = [one(host="lost", ago=1.0) for _ in range(40)]
    counts = {f"collection_with_a_long_name_{number}": Counter(COMPLETED=5, FAILED=7, KILLED=1) for number in range(20)}
    now = StudyStatus(NOW, counts, many + silent, [(f"{'cause ' * 30}{number}", 7) for number in range(9)])
    lines = text(now).splitlines()
    assert len(lines) <= HEIGHT
    assert max(map(len, lines)) <= WIDTH
    assert "17 others" in text(now)
    assert " more with " in text(now)
    assert "40 not heard of for long" in text(now)
    assert "6 more causes" in text(now)
    assert len(text(now, 60).splitlines()) <= 60


def test_colours_on_terminals_only():
    now = stand(one(), COMPLETED=1, FAILED=2, PENDING=3)
    assert "\033[" in text(now, colours=True)
    assert "\033[" not in text(now)


def test_every_status_is_seen_in_the_bar():
    line = text(stand(COMPLETED=100_000, RUNNING=1, FAILED=1)).splitlines()[0]
    assert line.count("▒") == line.count("!") == 1


def test_rates():
    now = stand(
        one(hours=2.0, trained=0.5, resumed=0.25, runs=400),  # 100 runs' worth, half of it in the last hour
        one(hours=1.0, ago=10.0, end="done", trained=1.0, runs=50, completed=50),
        COMPLETED=50, RUNNING=400, PENDING=350,
    )  # fmt: skip
    assert now.runs_last_hour == pytest.approx(50)
    assert now.runs_per_hour == pytest.approx((100 + 50) / 3)
    assert now.hours_left == pytest.approx((400 + 350 - 200) / 50)


def test_the_end_is_not_foretold_without_reason():
    assert stand(RUNNING=1, PENDING=9).hours_left is None
    assert stand(one(hours=0.01), RUNNING=1, PENDING=9).hours_left is None
    assert stand(one(ago=1.0), RUNNING=1, PENDING=9).hours_left is None
    assert "no run waits to be done" in text(stand(one(end="done"), COMPLETED=9))


def test_runs_whose_worker_has_not_begun():
    ahead = one(runs=512, completed=500, failed=2)
    assert stand(ahead, RUNNING=10).runs_starting == 0
    assert stand(ahead, RUNNING=8).runs_starting == 0
    assert stand(one(end="done"), RUNNING=4).runs_starting == 4
    assert "4 RUNNING (4 starting up), 1 PENDING" in text(stand(RUNNING=4, PENDING=1, COMPLETED=9))


def test_hours_in_which_somebody_was_at_work():
    overlapping = [one(hours=2.0), one(hours=1.0), one(hours=1.0, ago=1.5), one(hours=1.0, ago=10.0)]
    assert hours_at_work(overlapping) == pytest.approx(2.5 + 1)
    assert hours_at_work([]) == 0


def test_what_is_counted(runs: Runs, pending_runs: Fill):
    pending_runs([{}] * 6)
    working, lost = worker(runs, end=None, runs=3), worker(runs, end=None, ended=1.0)
    runs.update_many({"_id": {"$in": [1, 2]}}, {"$set": {"status": "COMPLETED"}})
    fail(runs, [3], lost)
    now = study_status(runs.database, [runs.name])
    assert now.counts == {runs.name: {"COMPLETED": 2, "FAILED": 1, "PENDING": 3}}
    assert [(one.host, one.runs, one.silent) for one in now.at_work] == [("n01", 1, True), ("n01", 3, False)]
    assert [count for _, count in now.causes] == [1]
    assert working["collection"] == runs.name


def test_once(runs: Runs, pending_runs: Fill, found_by_commands: None, capsys: pytest.CaptureFixture[str]):
    pending_runs([{}] * 3)
    assert main(["watch", runs.name, "--once"]) == 0
    printed = capsys.readouterr().out
    assert "0 of 3 done" in printed
    assert "\033" not in printed
    assert main(["watch", "nowhere", "--once"]) == 1
    assert "there is no collection 'nowhere'" in capsys.readouterr().err


def test_a_database_that_was_never_there_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(SETTINGS.DATABASE, "MONGODB_CONFIG_PATH", tmp_path / "mongodb.config")
    assert main(["watch", "mnist"]) == 1
    assert "walking-noise: no database: " in capsys.readouterr().err


def test_it_goes_on_while_the_database_is_away(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    there, away = stand(COMPLETED=6, PENDING=2), DatabaseError("no database answers at there:1")
    answers: Iterator[DatabaseError | StudyStatus] = iter((there, away, stand(COMPLETED=7, PENDING=1)))
    slept: list[float] = []

    def look(names: object) -> tuple[StudyStatus, float]:
        answer = next(answers, None)
        if answer is None:
            raise KeyboardInterrupt
        if isinstance(answer, DatabaseError):
            raise answer
        return answer, 2.0

    monkeypatch.setattr(watch_loop, "look", look)
    monkeypatch.setattr(watch_loop, "sleep", slept.append)
    assert main(["watch", "mnist", "--seconds", "7"]) == 0
    printed = capsys.readouterr().out
    assert "no database answers at there:1; trying again" in printed
    assert "6 of 8 done" in printed
    assert "7 of 8 done" in printed
    assert slept == pytest.approx([2.0 / SHARE - 2.0] * 3)


def test_it_ends_quietly(runs: Runs, pending_runs: Fill, shell: Shell):
    pending_runs([{}])
    with shell.start("walking-noise", "watch", runs.name, PYTHONUNBUFFERED="1") as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=60)
    assert "0 of 1 done" in first
    assert "Traceback" not in rest
    assert process.returncode == 0
