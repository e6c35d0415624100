"""A log for each run of a pack: what became of it, in a few lines. The leader's is the worker's own output."""

from __future__ import annotations

import datetime
import os
import socket
from collections.abc import Iterable
from pathlib import Path

from experiments.database import Document


class RunLogs:
    """The logs of a leader's companions, beside the leader's log and named as SEML names it, by the run's id."""

    def __init__(self, leader: Document) -> None:
        self.leader = leader["_id"]
        output_file = leader["seml"].get("output_file")
        self._pattern = Path(output_file) if output_file else None

    def path(self, run: int) -> Path | None:
        """Where a run's log is; None where SEML keeps none."""
        if self._pattern is None:
            return None
        stem = self._pattern.name.removesuffix(f"_{self.leader}.out")
        return self._pattern.with_name(f"{stem}_{run}.out")

    def open(self, runs: Iterable[int]) -> None:
        """Begin the logs of ``runs``, which lose what they had."""
        runs = [run for run in runs if run != self.leader]
        text = (
            f"trained together with {len(runs)} others by the worker of run {self.leader} "
            f"(process {os.getpid()} on {socket.gethostname()}); its log: {self._pattern}"
        )
        for run in runs:
            self._write(run, text, mode="w")

    def write(self, runs: Iterable[int], text: str) -> None:
        """Add a line, or a few, to the logs of ``runs``; the leader's is written by whoever prints."""
        for run in runs:
            if run != self.leader:
                self._write(run, text, mode="a")

    def _write(self, run: int, text: str, mode: str) -> None:
        path = self.path(run)
        if path is not None:
            with path.open(mode) as log:
                log.write(f"{datetime.datetime.now():%Y-%m-%d %H:%M:%S} {text.rstrip()}\n")
