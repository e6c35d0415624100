from __future__ import annotations

import errno
import io

import pytest

from experiments.terminal.progress_line import ProgressLine, clock, training_progress
from walking_noise import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_one_line_on_a_terminal(monkeypatch: pytest.MonkeyPatch):
    stream, now = Terminal(), [0.0]
    line = ProgressLine(stream)
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    for now[0], text in ((0.0, "first"), (0.05, "too soon"), (1.0, "second")):
        line.show(text)
    line.end()
    assert stream.getvalue() == "\r\033[Kfirst\r\033[Ksecond\r\033[K"


def test_new_lines_without_a_terminal(monkeypatch: pytest.MonkeyPatch):
    stream, now = io.StringIO(), [0.0]
    line = ProgressLine(stream, seconds=5)
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    for now[0], text in ((0.0, "first"), (4.0, "too soon"), (6.0, "second")):
        line.show(text)
    line.end()
    assert stream.getvalue() == "first\nsecond\n"


class FullDisk(io.StringIO):
    def flush(self) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_raises_no_error():
    line = ProgressLine(FullDisk())
    line.show("first")
    line.end()


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (100, "1:40"), (59.6, "1:00"), (7500, "2:05:00")])
def test_clock(seconds: float, text: str):
    assert clock(seconds) == text


def test_training_progress():
    assert (
        training_progress(Progress(3, 12, 25, 100, 60.0))
        == "3 of 12 runs ended, 25 of 100 epochs, 180 runs/h, 3:00 left"
    )
    assert training_progress(Progress(0, 1, 50, 100, 7200.0)) == "50 of 100 epochs, 0.25 runs/h, 2:00:00 left"
    assert training_progress(Progress(0, 12, 0, 100, 1.0)) == "0 of 12 runs ended, 0 of 100 epochs"
    assert training_progress(Progress(0, 12, 100, 100, 1.0)) == "0 of 12 runs ended, 100 of 100 epochs"
    assert training_progress(Progress(1, 1, 100, 100, 1.0)) == "100 of 100 epochs"


def test_training_progress_fits_a_line():
    largest = Progress(99_999, 635_120, 63_511_999, 190_536_000, 3.6e6)
    assert len(training_progress(largest)) < 100


def test_one_line_per_minute_without_a_terminal(monkeypatch: pytest.MonkeyPatch):
    stream, now = io.StringIO(), [0.0]
    line = ProgressLine(stream)
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    for second in range(0, 180, 10):
        now[0] = float(second)
        line.show(f"{second} s")
    assert stream.getvalue() == "0 s\n60 s\n120 s\n"
