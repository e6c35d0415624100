"""A log for each run of a pack: what became of it, in a few lines. The leader's is the worker's own output."""

from __future__ import annotations

import datetime
import logging
import os
import socket
from collections.abc import Iterable
from pathlib import Path

from experiments.database.connection import Document

log = logging.getLogger(__name__)


class RunLogs:
    """The logs of a leader's companions, beside the leader's log and named as SEML names it, by the run's id.

    Attributes
    ----------
    pattern
        The parts of a log's path before and after the run's id; None where SEML keeps no logs.
    """

    def __init__(self, leader: Document) -> None:
        self.leader: int = leader["_id"]
        self._output_file: str | None = leader["seml"].get("output_file")
        ending = f"{self.leader}.out"
        self.pattern = (self._output_file.removesuffix(ending), ".out") if self._output_file else None

    def path(self, run: int) -> Path | None:
        """Where a run's log is."""
        return Path(f"{run}".join(self.pattern)) if self.pattern else None

    def open(self, runs: Iterable[int]) -> None:
        """Say in the logs of ``runs`` where they train now."""
        runs = set(runs) - {self.leader}
        text = (
            f"trained together with {len(runs)} others by the worker of run {self.leader} "
            f"(process {os.getpid()} on {socket.gethostname()}); its log: {self._output_file}"
        )
        self.write(runs, text)

    def write(self, runs: Iterable[int], text: str) -> None:
        """Add a line, or a few, to the logs of ``runs``; the leader's is written by whoever prints."""
        line, faults = f"{datetime.datetime.now():%Y-%m-%d %H:%M:%S} {text.rstrip()}\n", []
        for path in (self.path(run) for run in runs if run != self.leader):
            if path is not None:
                try:
                    with path.open("a") as file:
                        file.write(line)
                except OSError as error:
                    faults.append(f"{path}: {error.strerror}")
        if faults:
            log.warning("%d logs of runs are not complete; the first: %s", len(faults), faults[0])
