"""Progress in one line: rewritten in place on a terminal, one new line per minute elsewhere."""

from __future__ import annotations

import contextlib
import sys
import time
from typing import TYPE_CHECKING, TextIO

from experiments.terminal.text_table import short

if TYPE_CHECKING:
    from walking_noise import Progress


class ProgressLine:
    """Progress line on ``stream``, by default standard error.

    On a terminal each text replaces the one before, at most ten times a second. Elsewhere at most one text is written
    in ``seconds``; the texts between are dropped.
    """

    def __init__(self, stream: TextIO | None = None, seconds: float = 60.0) -> None:
        self.stream = stream or sys.stderr
        self.seconds = seconds
        self._shown_at = float("-inf")
        self._rewritten = False

    def show(self, text: str) -> None:
        """Show a text, unless the last one was shown too short a time ago."""
        terminal = self.stream.isatty()
        if time.monotonic() - self._shown_at < (0.1 if terminal else self.seconds):
            return
        self._shown_at = time.monotonic()
        self._rewritten = terminal
        self._write(f"\r\033[K{text}" if terminal else f"{text}\n")

    def end(self) -> None:
        """Clear the line, so that something else can be printed; the next text is shown at once."""
        if self._rewritten:
            self._write("\r\033[K")
        self._rewritten, self._shown_at = False, float("-inf")

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError):  # a full disk or a closed terminal must not stop the work
            self.stream.write(text)
            self.stream.flush()


def training_progress(progress: Progress) -> str:
    """The progress of training in one line: ended runs, epochs, runs per hour, time left.

    Runs per hour and the time left are computed from epochs, each as its share of a run, since all runs of a pack end
    at the same time.
    """
    done, total = progress.epochs_done, progress.epochs_total
    parts = [f"{done:,} of {total:,} epochs"] if total else []
    if progress.runs_total > 1:
        parts.insert(0, f"{progress.runs_done:,} of {progress.runs_total:,} runs ended")
    if 0 < done < total and progress.seconds > 0:
        share = done / total
        per_hour = 3600 * progress.runs_total * share / progress.seconds
        parts += [f"{short(per_hour)} runs/h", f"{clock(progress.seconds * (1 - share) / share)} left"]
    return ", ".join(parts)


def clock(seconds: float) -> str:
    """A duration as ``1:40`` or ``2:05:00``."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
