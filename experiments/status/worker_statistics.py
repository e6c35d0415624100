"""The workers of a study, as the history has them: what they have done, and what of it was lost."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pymongo.database import Database

from experiments.database.connection import Document
from experiments.database.run_collections import WORKERS
from experiments.worker.leases import LEASE_SECONDS
from experiments.worker.records.history import DONE

SILENT = datetime.timedelta(seconds=LEASE_SECONDS)
"""A worker that has not been heard of for longer may be lost."""
HOUR = datetime.timedelta(hours=1)


@dataclass(frozen=True)
class Worker:
    """A worker.

    Attributes
    ----------
    task
        Its Slurm task as ``ARRAY_TASK``; None outside Slurm.
    gpu
        Whether it trained on a GPU.
    runs
        How many it took on.
    resumed, trained, kept
        Shares of their epochs: taken up from checkpoints; done, these included; and standing where they outlive it.
    completed, failed
        How many of the runs ended so.
    end
        ``done``, or why it ended; None while it works, or if it was lost and nobody has noticed.
    silent
        Whether it has not said how it ended, and was not heard of for :data:`SILENT`.
    age
        Since it was last heard of.
    """

    collection: str
    leader: int
    host: str
    task: str | None
    gpu: bool
    runs: int
    resumed: float
    trained: float
    kept: float
    completed: int
    failed: int
    started: datetime.datetime
    until: datetime.datetime
    end: str | None
    age: datetime.timedelta

    @classmethod
    def of(cls, document: Document, now: datetime.datetime) -> Worker:
        slurm = document.get("slurm", {})
        return cls(
            **{name: document[name] for name in ("collection", "leader", "host", "gpu", "runs", "completed", "failed")},
            **{name: document[name] for name in ("resumed", "trained", "kept", "started")},
            task=f"{slurm['array_id']}_{slurm['task_id']}" if slurm else None,
            until=document.get("ended") or document["beat"],
            end=document.get("end"),
            age=now - document["beat"],
        )

    @property
    def at_work(self) -> bool:
        return self.end is None and not self.silent

    @property
    def silent(self) -> bool:
        return self.end is None and self.age > SILENT

    @property
    def hours(self) -> float:
        return (self.until - self.started) / HOUR

    @property
    def lost_hours(self) -> float:
        """Hours spent on training that stands nowhere, of a worker that has not ended as it should."""
        if self.at_work or self.end == DONE:
            return 0.0
        done, lost = self.trained - self.resumed, self.trained - self.kept
        return self.hours * (min(max(lost / done, 0.0), 1.0) if done > 0 else 1.0)

    @property
    def failed_hours(self) -> float:
        """Hours spent on runs that failed."""
        return (self.hours - self.lost_hours) * self.failed / self.runs

    @property
    def runs_ahead(self) -> float:
        """Runs' worth of training that is done for runs that have not ended yet."""
        return max(self.trained * self.runs - self.completed - self.failed, 0.0) if self.at_work else 0.0

    @property
    def runs_done(self) -> float:
        """Runs' worth of training that it has done itself, a share of a run's epochs counting as that share of it."""
        return max(self.trained - self.resumed, 0.0) * self.runs

    @property
    def runs_per_hour(self) -> float:
        return self.runs_done / self.hours if self.hours > 0 else 0.0


def workers(database: Database[Document], collections: Sequence[str], now: datetime.datetime) -> list[Worker]:
    """All workers of some collections; ``now`` is the time by the database's clock."""
    found = database[WORKERS].find({"collection": {"$in": list(collections)}})
    return [Worker.of(document, now) for document in found]


def hours_at_work(those: Iterable[Worker]) -> float:
    """Hours in which at least one of the workers was at work."""
    total, covered = datetime.timedelta(), datetime.datetime.min
    for worker in sorted(those, key=lambda worker: worker.started):
        begun = max(worker.started, covered)
        if worker.until > begun:
            total, covered = total + (worker.until - begun), worker.until
    return total / HOUR
