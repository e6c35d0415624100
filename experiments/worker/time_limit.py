"""Time limit of a Slurm task, announced by a file.

If a grid sets ``seml.reschedule_timeout``, Slurm signals the job script this many seconds before the time limit. The
signal does not reach the worker, so SEML's script creates a file. If a second file, ``*.request``, exists when the
worker has ended, the script requeues the task.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

from experiments.database.connection import Document

CHECK_SECONDS = 1.0
"""The shortest time between two checks for the file."""

log = logging.getLogger(__name__)


class TimeLimit:
    """The time limit of the Slurm task of the run ``leader``. Outside Slurm there is no limit."""

    def __init__(self, leader: Document, clock: Callable[[], float] = time.monotonic) -> None:
        file = leader.get("execution", {}).get("reschedule_file")
        self._file = Path(file) if file else None
        self._clock, self._next_check = clock, 0.0
        self._near = False

    @property
    def near(self) -> bool:
        """Whether the limit was announced. The file is looked for at most once per CHECK_SECONDS."""
        if self._file is not None and not self._near and self._clock() >= self._next_check:
            self._next_check = self._clock() + CHECK_SECONDS
            self._near = os.path.exists(self._file)  # noqa: PTH110 - any failure means no
        return self._near

    def request_requeue(self) -> None:
        """If the limit was announced, make SEML's script requeue the task when the worker has ended."""
        if self._file is not None and self._near:
            try:
                Path(f"{self._file}.request").touch()
            except OSError as error:
                log.error("the task is not requeued: %s: %s", error.filename, error.strerror)
