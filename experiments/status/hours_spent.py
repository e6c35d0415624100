"""Worker hours of a study: used, and wasted (by reason).

This module does not import torch, so that ``walking-noise watch`` needs little memory.
:mod:`experiments.status.hours_table` adds the hours still needed, whose estimate requires torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from experiments.status.worker_statistics import Worker
from experiments.worker.records.causes import normalised

FAILED_RUNS = "runs that failed"
LOST_WITHOUT_REASON = "lost without a sign of life"
"""Reasons of wasted hours that no worker reports. They are keys of ``walking-noise hours --json``."""


@dataclass(frozen=True)
class DeviceHours:
    """Hours of the workers on one kind of device, from their start to their end or last heartbeat.

    ``wasted`` is, by reason, the part spent on runs that failed, or on training that was lost with its worker.
    """

    used: float
    wasted: dict[str, float]

    @property
    def total_wasted(self) -> float:
        """Wasted hours, of all reasons together."""
        return sum(self.wasted.values())

    @classmethod
    def of(cls, workers: Sequence[Worker]) -> DeviceHours:
        """The hours of some workers."""
        wasted: dict[str, float] = {}
        for worker in workers:
            for reason, hours in ((FAILED_RUNS, worker.failed_hours), (_loss_reason(worker), worker.lost_hours)):
                if hours > 0:
                    wasted[reason] = wasted.get(reason, 0.0) + hours
        return cls(sum(worker.hours for worker in workers), wasted)


@dataclass(frozen=True)
class StudyHours:
    """Worker hours of a collection, or of several together.

    ``planned`` are the estimated worker hours of the runs without a result; None if they are not known.
    """

    name: str
    gpu: DeviceHours
    cpu: DeviceHours
    runs_left: int
    planned: float | None

    @classmethod
    def of(cls, name: str, workers: Sequence[Worker], runs_left: int, planned: float | None) -> StudyHours:
        """The hours of a collection with these workers."""
        gpu, cpu = (DeviceHours.of([worker for worker in workers if worker.gpu is on_gpu]) for on_gpu in (True, False))
        return cls(name, gpu, cpu, runs_left, planned)


def _loss_reason(worker: Worker) -> str:
    return normalised(worker.end_reason, worker.host) if worker.end_reason is not None else LOST_WITHOUT_REASON
