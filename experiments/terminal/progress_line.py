"""Progress in one line: rewritten on a terminal, a line a minute elsewhere."""

from __future__ import annotations

import contextlib
import sys
import time
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from walking_noise import Progress


class ProgressLine:
    """Shows texts on ``stream``: each in place of the one before on a terminal, else one every ``seconds``."""

    def __init__(self, stream: TextIO | None = None, seconds: float = 60.0) -> None:
        self.stream = stream or sys.stderr
        self.seconds = seconds
        self._shown_at = float("-inf")
        self._rewritten = False

    def show(self, text: str) -> None:
        terminal = self.stream.isatty()
        if time.monotonic() - self._shown_at < (0.1 if terminal else self.seconds):
            return
        self._shown_at = time.monotonic()
        self._rewritten = terminal
        self._write(f"\r\033[K{text}" if terminal else f"{text}\n")

    def end(self) -> None:
        """Clear the line, so that something else may be printed."""
        if self._rewritten:
            self._write("\r\033[K")
        self._rewritten, self._shown_at = False, float("-inf")

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError):  # a full disk, or a terminal that was closed, is no reason to stop
            self.stream.write(text)
            self.stream.flush()


def training_progress(progress: Progress) -> str:
    """How far training is, in a line: runs that ended, epochs, and from these runs per hour and the time left.

    A pack's runs end together, so runs per hour count each epoch as its share of a run.
    """
    done, total = progress.epochs_done, progress.epochs_total
    parts = [f"{done:,} of {total:,} epochs"] if total else []
    if progress.runs_total > 1:
        parts.insert(0, f"{progress.runs_done:,} of {progress.runs_total:,} runs ended")
    if 0 < done < total and progress.seconds > 0:
        share = done / total
        per_hour = 3600 * progress.runs_total * share / progress.seconds
        parts += [f"{_rate(per_hour)} runs/h", f"{clock(progress.seconds * (1 - share) / share)} left"]
    return ", ".join(parts)


def _rate(per_hour: float) -> str:
    return f"{per_hour:,.0f}" if per_hour >= 10 else f"{per_hour:.2g}"


def clock(seconds: float) -> str:
    """A duration as ``1:40`` or ``2:05:00``."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
