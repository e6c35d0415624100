"""The time limit of a Slurm task, told ahead by a file.

With ``seml.reschedule_timeout`` in a grid, Slurm signals the job's script so many seconds before the limit, and
SEML's script makes a file, as the signal does not reach the worker. If a second file lies beside it when the worker has
ended, the script puts the task into the queue again.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

from experiments.database.connection import Document

LOOK_SECONDS = 1.0

log = logging.getLogger(__name__)


class TimeLimit:
    """The time limit of the Slurm task in which the run ``leader`` was started; elsewhere there is none."""

    def __init__(self, leader: Document, clock: Callable[[], float] = time.monotonic) -> None:
        notice = leader.get("execution", {}).get("reschedule_file")
        self._notice = Path(notice) if notice else None
        self._clock, self._look_again = clock, 0.0
        self._ahead = False

    @property
    def ahead(self) -> bool:
        """Whether the limit is near; looked at once a second."""
        if self._notice is not None and not self._ahead and self._clock() >= self._look_again:
            self._look_again = self._clock() + LOOK_SECONDS
            self._ahead = os.path.exists(self._notice)  # noqa: PTH110 - any failure means no
        return self._ahead

    def request_requeue(self) -> None:
        """Let the task be queued again when it has ended."""
        if self._notice is not None and self._ahead:
            try:
                Path(f"{self._notice}.request").touch()
            except OSError as error:
                log.error("the task is not queued again: %s: %s", error.filename, error.strerror)
