"""Statistics of a study's workers from the history: hours, runs, and how much of their training was kept or lost."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

from pymongo.database import Database

from experiments.database.connection import Document
from experiments.database.run_collections import WORKERS
from experiments.worker.leases import LEASE_SECONDS
from experiments.worker.records.history import DONE

HEARTBEAT_TIMEOUT = datetime.timedelta(seconds=LEASE_SECONDS)
"""Age of the last heartbeat from which a worker counts as unresponsive; it may be lost."""
HOUR = datetime.timedelta(hours=1)


@dataclass(frozen=True)
class Worker:
    """Record of a worker and of the runs that it leased.

    ``resumed``, ``trained`` and ``kept`` are shares of all epochs of its runs: resumed from checkpoints; trained,
    including the resumed ones; and saved where they outlive the worker, in results or checkpoints.
    """

    collection: str
    leader: int  # id of the run that SEML started the worker for; the worker leased the other runs itself
    host: str
    task: str | None  # its Slurm task as ``ARRAY_TASK``; None outside Slurm
    gpu: bool
    runs: int
    resumed: float
    trained: float
    kept: float
    completed: int
    failed: int
    started: datetime.datetime
    until: datetime.datetime  # its end or, if it has not reported its end, its last heartbeat
    end_reason: str | None  # ``done``, or why it ended early; None while it works, or if its loss is not recorded yet
    heartbeat_age: datetime.timedelta

    @classmethod
    def of(cls, document: Document, now: datetime.datetime) -> Worker:
        """The worker of a document of the history; ``now`` is the time by the database's clock."""
        slurm = document.get("slurm", {})
        return cls(
            **{name: document[name] for name in ("collection", "leader", "host", "gpu", "runs", "completed", "failed")},
            **{name: document[name] for name in ("resumed", "trained", "kept", "started")},
            task=f"{slurm['array_id']}_{slurm['task_id']}" if slurm else None,
            until=document.get("ended") or document["beat"],
            end_reason=document.get("end"),
            heartbeat_age=now - document["beat"],
        )

    @property
    def active(self) -> bool:
        """Whether it has not ended and has sent a heartbeat within :data:`HEARTBEAT_TIMEOUT`."""
        return self.end_reason is None and not self.unresponsive

    @property
    def unresponsive(self) -> bool:
        """Whether it has not ended, but its last heartbeat is older than :data:`HEARTBEAT_TIMEOUT`."""
        return self.end_reason is None and self.heartbeat_age > HEARTBEAT_TIMEOUT

    @property
    def hours(self) -> float:
        """Hours from its start to its end or last heartbeat."""
        return (self.until - self.started) / HOUR

    @property
    def lost_hours(self) -> float:
        """Hours spent on training that was lost with the worker; 0 if it is active or ended with ``done``."""
        if self.active or self.end_reason == DONE:
            return 0.0
        own, lost = self.trained - self.resumed, self.trained - self.kept
        return self.hours * (min(max(lost / own, 0.0), 1.0) if own > 0 else 1.0)

    @property
    def failed_hours(self) -> float:
        """Hours spent on runs that failed."""
        return (self.hours - self.lost_hours) * self.failed / self.runs

    @property
    def partial_runs(self) -> float:
        """Training done for runs that have not ended yet, in runs: half the epochs of one run count as 0.5."""
        return max(self.trained * self.runs - self.completed - self.failed, 0.0) if self.active else 0.0

    @property
    def runs_trained(self) -> float:
        """Training done by this worker, resumed epochs not included, in runs: half the epochs of a run count as 0.5."""
        return max(self.trained - self.resumed, 0.0) * self.runs

    @property
    def runs_per_hour(self) -> float:
        """Training done per hour, in runs."""
        return self.runs_trained / self.hours if self.hours > 0 else 0.0


def workers(database: Database[Document], collections: Sequence[str], now: datetime.datetime) -> list[Worker]:
    """All workers of the collections; ``now`` is the time by the database's clock."""
    documents = database[WORKERS].find({"collection": {"$in": list(collections)}})
    return [Worker.of(document, now) for document in documents]
