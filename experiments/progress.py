"""Progress in one line: rewritten on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from walking_noise import Progress


class ProgressLine:
    """Shows texts on ``stream``: each in place of the one before on a terminal, else one every ``seconds``."""

    def __init__(self, stream: TextIO | None = None, seconds: float = 30.0) -> None:
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
        self.stream.write(f"\r\033[K{text}" if terminal else f"{text}\n")
        self.stream.flush()

    def end(self) -> None:
        """Clear the line, so that something else may be printed."""
        if self._rewritten:
            self.stream.write("\r\033[K")
            self.stream.flush()
        self._rewritten, self._shown_at = False, float("-inf")


def training_progress(progress: Progress) -> str:
    """How far training is, in a line; of several runs, how many have ended, with a result or without."""
    share = progress.epochs_done / max(1, progress.epochs_total)
    text = f"{share:.0%} trained"
    if progress.runs_done and progress.runs_total > 1:
        text += f", {progress.runs_done} of {progress.runs_total} runs have ended"
    if 0 < share < 1:
        text += f", {clock(progress.seconds * (1 - share) / share)} left"
    return text


def clock(seconds: float) -> str:
    """A duration as ``1:40`` or ``2:05:00``."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
