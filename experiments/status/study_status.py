"""How collections stand: runs by status, workers, rates, failures, the time left."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from pymongo.database import Database

from experiments.database.connection import Document, server_time
from experiments.database.run_collections import status_counts
from experiments.database.run_status import FAILED, RUNNING
from experiments.status.failures.failure_groups import grouped
from experiments.status.worker_statistics import HOUR, Worker, hours_at_work, workers

WAITING = ("STAGED", "QUEUED", "PENDING", "RESCHEDULED", "RUNNING")
"""Runs in one of these statuses will be worked on without anyone doing more than to start them."""
SOON = datetime.timedelta(minutes=1)
"""A worker's speed is not told before it has worked for so long: starting up counts too much."""


@dataclass(frozen=True)
class StudyStatus:
    """How some collections stand.

    Attributes
    ----------
    time
        By the database's clock.
    counts
        Runs by status, by collection.
    workers
        All there have been.
    causes
        Of the runs that are FAILED, with their numbers, the most frequent first.
    """

    time: datetime.datetime
    counts: dict[str, Counter[str]]
    workers: list[Worker]
    causes: list[tuple[str, int]]

    @property
    def total(self) -> Counter[str]:
        return sum(self.counts.values(), Counter())

    @property
    def at_work(self) -> list[Worker]:
        """The workers that have not said that they ended; the silent ones first, then those that began first."""
        there = [worker for worker in self.workers if worker.end is None]
        return sorted(there, key=lambda worker: (not worker.silent, worker.started))

    @property
    def runs_per_hour(self) -> float:
        """Runs' worth of training done in an hour, while anyone was at work."""
        hours = hours_at_work(self.workers)
        return sum(worker.runs_done for worker in self.workers) / hours if hours else 0.0

    @property
    def runs_last_hour(self) -> float:
        """Runs' worth of training done in the last hour, each worker's spread evenly over its time."""
        return sum(worker.runs_done * self._share_in_last_hour(worker) for worker in self.workers)

    @property
    def hours_left(self) -> float | None:
        """Until all that waits is done, if those at work go on; None if nobody is at work for long enough to tell."""
        settled = [worker for worker in self.workers if worker.at_work and worker.until - worker.started >= SOON]
        speed = sum(worker.runs_per_hour for worker in settled)
        left = self.runs_waiting - sum(worker.runs_ahead for worker in self.workers)
        return max(left, 0.0) / speed if speed > 0 else None

    @property
    def runs_waiting(self) -> int:
        """Runs that are to be done, those in training included."""
        return sum(self.total[status] for status in WAITING)

    @property
    def runs_starting(self) -> int:
        """Runs that SEML calls RUNNING while their worker still starts up, or was lost while it did."""
        held = sum(worker.runs - worker.completed - worker.failed for worker in self.at_work)
        return max(self.total[RUNNING] - held, 0)

    def _share_in_last_hour(self, worker: Worker) -> float:
        within = worker.until - max(worker.started, self.time - HOUR)
        return max(within / HOUR, 0.0) / worker.hours if worker.hours > 0 else 0.0


def study_status(database: Database[Document], names: Sequence[str]) -> StudyStatus:
    """How some collections stand now."""
    now = server_time(database)
    counted = {name: status_counts(database[name]) for name in names}
    failing = [name for name in names if counted[name][FAILED]]
    groups = [group for group in grouped(database, failing) if group.failed] if failing else []
    causes = [(group.cause, group.failed_count) for group in groups]
    return StudyStatus(now, counted, workers(database, names, now), causes)
