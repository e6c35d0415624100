"""Status of a study: runs by status, workers, rates, causes of failure, the time left."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from pymongo.database import Database

from experiments.database.connection import Document, server_time
from experiments.database.run_collections import status_counts
from experiments.database.run_status import COMPLETED, FAILED, RUNNING
from experiments.status.worker_statistics import HOUR, Worker, workers
from experiments.worker.failures.failure_groups import grouped
from experiments.worker.failures.first_failures import Stop, stop_of

OUTSTANDING = ("STAGED", "QUEUED", "PENDING", "RESCHEDULED", "RUNNING")
"""Statuses of runs that are still to be trained and need no user action except to be started."""
MIN_ACTIVE_TIME = datetime.timedelta(minutes=1)
"""Workers that have been active for a shorter time do not count for the time left: their start-up weighs too much."""


@dataclass(frozen=True)
class StudyStatus:
    """Status of the runs and workers, past and present, of some collections.

    ``time`` is that of the query, by the database's clock. ``counts`` are numbers of runs by status, for each
    collection. ``causes`` are those of the runs that are FAILED now, with the number of runs, the most frequent first.
    ``stops`` are the stops of studies by their first failures.
    """

    time: datetime.datetime
    counts: dict[str, Counter[str]]
    workers: list[Worker]
    causes: list[tuple[str, int]]
    stops: list[Stop] = field(default_factory=list)

    @property
    def total(self) -> Counter[str]:
        """Number of runs by status, of all collections together."""
        return sum(self.counts.values(), Counter())

    @property
    def open_workers(self) -> list[Worker]:
        """The workers that have not reported their end: unresponsive ones first, then in the order of their start."""
        not_ended = [worker for worker in self.workers if worker.end_reason is None]
        return sorted(not_ended, key=lambda worker: (not worker.unresponsive, worker.started))

    @property
    def runs_last_hour(self) -> float:
        """Runs trained in the last hour; the training of a worker is taken as evenly spread over its time."""
        return sum(worker.runs_trained * self._share_in_last_hour(worker) for worker in self.workers)

    @property
    def hours_left(self) -> float | None:
        """Hours until all outstanding runs are trained, if the active workers continue at their speed.

        None if no worker has been active for at least :data:`MIN_ACTIVE_TIME`.
        """
        measured = [
            worker for worker in self.workers if worker.active and worker.until - worker.started >= MIN_ACTIVE_TIME
        ]
        speed = sum(worker.runs_per_hour for worker in measured)
        runs = self.outstanding_runs - sum(worker.partial_runs for worker in self.workers)
        return max(runs, 0.0) / speed if speed > 0 else None

    @property
    def outstanding_runs(self) -> int:
        """Number of runs that are still to be trained, including those in training."""
        return sum(self.total[status] for status in OUTSTANDING)

    @property
    def starting_runs(self) -> int:
        """Number of runs that SEML has set to RUNNING, but which no worker has registered yet.

        Their worker is starting up, or was lost while it started up.
        """
        registered = sum(worker.runs - worker.completed - worker.failed for worker in self.open_workers)
        return max(self.total[RUNNING] - registered, 0)

    def _share_in_last_hour(self, worker: Worker) -> float:
        overlap = worker.until - max(worker.started, self.time - HOUR)
        return max(overlap / HOUR, 0.0) / worker.hours if worker.hours > 0 else 0.0


def study_status(database: Database[Document], names: Sequence[str]) -> StudyStatus:
    """Return the present status of the named collections."""
    now = server_time(database)
    counted = {name: status_counts(database[name]) for name in names}
    with_failures = [name for name in names if counted[name][FAILED]]
    groups = [group for group in grouped(database, with_failures) if group.failed] if with_failures else []
    causes = [(group.cause, group.failed_count) for group in groups]
    stops = [stop for name in names if not counted[name][COMPLETED] and (stop := stop_of(database, name))]
    return StudyStatus(now, counted, workers(database, names, now), causes, stops)
