"""Progress of a collection in one line: runs done, runs per minute, time left."""

from __future__ import annotations

import time

from pymongo.database import Database

from experiments.database.connection import Document
from experiments.database.run_status import COMPLETED, FAILED
from experiments.status.study_status import study_status
from experiments.terminal.progress_line import clock

MAX_QUERY_SHARE = 0.05
"""Largest share of the time that may be spent on queries; on the embedded database one takes 0.2 ms per run."""

MIN_WORK_FOR_ESTIMATE = 0.1
"""Share of the work that must be done before the time left is shown; earlier, the start-up weighs too much."""


class CollectionProgress:
    """Progress of a collection since this object was made; the database is queried again at intervals.

    Attributes
    ----------
    counts
        Number of runs by status at the last query.
    """

    def __init__(self, database: Database[Document], name: str) -> None:
        self._database, self._name = database, name
        self.started = time.monotonic()
        self.query()
        self._initially_completed, self._initial_work = self.counts[COMPLETED], self._work

    def query(self) -> None:
        """Query the database again. Half of the training of a run counts as half of its work."""
        started = time.monotonic()
        status = study_status(self._database, [self._name])
        self.counts = status.total
        in_training = sum(worker.partial_runs for worker in status.workers)
        self._work = self.counts[COMPLETED] + self.counts[FAILED] + in_training
        self._next = time.monotonic() + (time.monotonic() - started) / MAX_QUERY_SHARE

    def text(self) -> str:
        """The progress in one line; queries again if the last query is old enough."""
        if time.monotonic() > self._next:
            self.query()
        minutes = (time.monotonic() - self.started) / 60
        text = f"{self.counts[COMPLETED]} of {self.counts.total()} runs done"
        if self.counts[FAILED]:
            text += f", {self.counts[FAILED]} failed"
        if self.new:
            text += f", {self.new / minutes:.0f} runs/min"
        work = self._work - self._initial_work
        if work > MIN_WORK_FOR_ESTIMATE * (self.counts.total() - self._initial_work):
            text += f", {clock(60 * minutes * (self.counts.total() - self._work) / work)} left"
        return text

    @property
    def new(self) -> int:
        """Number of runs completed since this object was made."""
        return self.counts[COMPLETED] - self._initially_completed
