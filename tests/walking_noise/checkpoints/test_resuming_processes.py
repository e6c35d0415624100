"""Worker processes that are stopped or lose their parent: they write checkpoints, from which others resume."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.forked import Forked
from walking_noise import Progress, Result, RunConfig, Stopped, train, train_each
from walking_noise.checkpoints.checkpoint_format import read_header
from walking_noise.runtime import worker_pool
from walking_noise.runtime.run_context import RunContext

pytestmark = pytest.mark.usefixtures("forked_pool")
NEVER = 1e9
EPOCHS = 8
SETTINGS: list[dict[str, Any]] = [
    {"training.epochs": EPOCHS, "training.batch_size": 512, "noise.std": 0.4, "seed": seed, "model.batch_norm": True}
    for seed in range(4)
]
SETTINGS.append({**SETTINGS[0], "noise.in_training": False})
RUNS = [RunConfig.from_dict(settings) for settings in SETTINGS]


@pytest.fixture(scope="module")
def uninterrupted() -> list[dict[str, Any]]:
    return documents(train(RUNS, device="cpu", processes=1))


def documents(results: list[Result]) -> list[dict[str, Any]]:
    return [result.to_document() | {"seconds": 0, "pack_size": 0} for result in results]


def epochs_in(folder: Path) -> list[int]:
    return [read_header(file).epoch for file in folder.iterdir()]


def train_and_stop(epochs: int, seen: list[Progress], **options: Any) -> None:
    with pytest.raises(Stopped):
        train(
            RUNS,
            device="cpu",
            processes=2,
            progress=seen.append,
            stop=lambda: bool(seen) and seen[-1].epochs_done >= epochs,
            **options,
        )


def test_stopped_processes_write_checkpoints(tmp_path: Path, uninterrupted: list[dict[str, Any]]) -> None:
    seen: list[Progress] = []
    train_and_stop(10, seen, checkpoints=tmp_path, checkpoint_seconds=NEVER)
    saved = epochs_in(tmp_path)
    assert sum(saved) == seen[-1].epochs_kept == seen[-1].epochs_done >= 10
    assert seen[-1].epochs_resumed == 0
    again: list[Progress] = []
    resumed = train(RUNS, device="cpu", processes=1, pack_size=1, checkpoints=tmp_path, progress=again.append)
    assert documents(resumed) == uninterrupted
    assert (again[-1].epochs_resumed, again[-1].epochs_done, again[-1].epochs_kept) == (sum(saved), *(5 * EPOCHS,) * 2)
    assert list(tmp_path.iterdir()) == []


def test_processes_write_checkpoints_when_the_callers_callback_fails(tmp_path: Path) -> None:
    def broken(progress: Progress) -> None:
        if progress.epochs_done >= 10:
            raise KeyError("the caller's")

    with pytest.raises(KeyError, match="the caller's"):
        train(RUNS, device="cpu", processes=2, checkpoints=tmp_path, progress=broken)
    assert sum(epochs_in(tmp_path)) >= 10


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[worker_pool._Process]:
    """The worker processes that are started."""
    processes: list[worker_pool._Process] = []
    start = worker_pool._start

    def recorded(context: RunContext) -> worker_pool._Process:
        processes.append(start(context))
        return processes[-1]

    monkeypatch.setattr(worker_pool, "_start", recorded)
    return processes


def test_processes_write_checkpoints_when_the_caller_stops_iterating(
    tmp_path: Path, started: list[worker_pool._Process]
) -> None:
    """The caller stops after the first run, while another one is far from its end."""
    runs = [RunConfig.from_dict({**SETTINGS[0], "training.epochs": epochs}) for epochs in (2, 500)]
    events = train_each(runs, device="cpu", processes=2, checkpoints=tmp_path, checkpoint_seconds=NEVER)
    assert next(events)[0] == 0
    del events
    (saved,) = epochs_in(tmp_path)
    assert 0 < saved < 500
    assert 0 in [process.process.returncode for process in started]


def test_a_process_that_does_not_stop_in_time_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, started: list[worker_pool._Process]
) -> None:
    monkeypatch.setattr(worker_pool, "STOP_SECONDS", 0.5)
    frozen: list[int] = []

    def freeze() -> bool:
        frozen.extend(process.process.pid for process in started if process.pack)
        if len(frozen) < 2:
            frozen.clear()
            return False
        for pid in frozen:
            os.kill(pid, signal.SIGSTOP)
        return True

    with pytest.raises(Stopped):
        train(RUNS, device="cpu", processes=2, checkpoints=tmp_path, stop=freeze)
    assert [process.process.returncode for process in started] == [-signal.SIGKILL] * 2


def test_a_killed_process_loses_at_most_an_interval(
    tmp_path: Path, started: list[worker_pool._Process], uninterrupted: list[dict[str, Any]]
) -> None:
    killed: list[int] = []
    seen: list[Progress] = []

    def kill(progress: Progress) -> None:
        seen.append(progress)
        if not killed and progress.epochs_done >= 14:
            killed.append(started[0].process.pid)
            os.kill(killed[0], signal.SIGKILL)

    results = train(RUNS, device="cpu", processes=2, checkpoints=tmp_path, checkpoint_seconds=0, progress=kill)
    assert killed
    assert documents(results) == uninterrupted
    assert seen[-1].epochs_resumed > 0


def test_log_lines_of_processes_are_logged_by_the_parent(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    seen: list[Progress] = []
    train_and_stop(10, seen, checkpoints=tmp_path, checkpoint_seconds=NEVER, checkpoint_quota=5)
    line = f"checkpoints not written: N; {tmp_path} already holds 0 of at most 5 bytes; training continues"
    assert {re.sub(r": \d+;", ": N;", message, count=1) for message in caplog.messages} == {line}
    assert {(record.name, record.levelname) for record in caplog.records} == {
        ("walking_noise.checkpoints.checkpoint_store", "WARNING")
    }


PARENT = """
import json, sys
from walking_noise import RunConfig, train

folder, settings = sys.argv[1], json.loads(sys.argv[2])
train([RunConfig.from_dict(one) for one in settings], device="cpu", processes=2,
      checkpoints=folder, checkpoint_seconds=1e9,
      progress=lambda progress: print(progress.epochs_done, flush=True))
"""


def children(pid: int) -> list[int]:
    return [
        int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()
    ]


def has_ended(pid: int) -> bool:
    """Whether a process has ended, also if its parent has not collected its exit status yet."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state == "Z"


def within(seconds: float, condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


@pytest.mark.slow
def test_processes_whose_parent_is_killed_write_checkpoints_and_end(
    tmp_path: Path, uninterrupted: list[dict[str, Any]]
) -> None:
    folder = tmp_path / "checkpoints"
    with Forked(
        [sys.executable, "-c", PARENT, str(folder), json.dumps(SETTINGS)], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        assert next(int(line) for line in parent.stdout if int(line) >= 10)
        busy = children(parent.pid)
        parent.kill()
    assert len(busy) == 2
    assert within(100, lambda: all(map(has_ended, busy)))
    saved = epochs_in(folder)
    assert 10 <= sum(saved) < len(RUNS) * EPOCHS
    seen: list[Progress] = []
    assert documents(train(RUNS, device="cpu", processes=1, checkpoints=folder, progress=seen.append)) == uninterrupted
    assert seen[-1].epochs_resumed == sum(saved)
