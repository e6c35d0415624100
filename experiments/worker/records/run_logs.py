"""Logs of the runs of a pack, a few lines each. The leader's log is the worker's own output."""

from __future__ import annotations

import datetime
import logging
import os
import socket
from collections.abc import Iterable
from pathlib import Path

from experiments.database.connection import Document
from experiments.terminal.text_table import in_words, runs_in_words

log = logging.getLogger(__name__)


class RunLogs:
    """The logs of a leader's companions, in the folder of the leader's log and named by run id as SEML does.

    ``pattern`` has the parts of a log's path before and after the run id; it is None if SEML writes no logs.
    """

    def __init__(self, leader: Document) -> None:
        self.leader: int = leader["_id"]
        self._output_file: str | None = leader["seml"].get("output_file")
        ending = f"{self.leader}.out"
        self.pattern = (self._output_file.removesuffix(ending), ".out") if self._output_file else None

    def path(self, run: int) -> Path | None:
        """The path of a run's log; None if SEML writes no logs."""
        return Path(f"{run}".join(self.pattern)) if self.pattern else None

    def open(self, runs: Iterable[int]) -> None:
        """Write a line that names the worker to the log of each companion in ``runs``."""
        runs = set(runs) - {self.leader}
        text = (
            f"trained together with {in_words(len(runs), 'other run')} by the worker of run {self.leader} "
            f"(process {os.getpid()} on {socket.gethostname()}); log of the worker: {self._output_file}"
        )
        self.write(runs, text)

    def write(self, runs: Iterable[int], text: str) -> None:
        """Append text to the logs of ``runs``. The leader is skipped, since its log is the output of the worker."""
        line, faults = f"{datetime.datetime.now():%Y-%m-%d %H:%M:%S} {text.rstrip()}\n", []
        for path in (self.path(run) for run in runs if run != self.leader):
            if path is not None:
                try:
                    with path.open("a") as file:
                        file.write(line)
                except OSError as error:
                    faults.append(f"{path}: {error.strerror}")
        if faults:
            count = runs_in_words(len(faults))
            log.warning("the logs of %s are incomplete; first error: %s", count, faults[0])
