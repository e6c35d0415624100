"""Worker hours of a study: used, wasted (by reason), and still needed.

This module does not import torch, so that ``walking-noise watch`` needs little memory.
:mod:`experiments.status.hours_table` adds the hours still needed, whose estimate requires torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from experiments.status.failures.causes import normalised
from experiments.status.worker_statistics import Worker

FAILED_RUNS = "runs that failed"
LOST_WITHOUT_REASON = "lost without a sign of life"
"""Reasons of wasted hours that no worker reports. They are keys of ``walking-noise hours --json``."""


@dataclass(frozen=True)
class DeviceHours:
    """Worker hours on one kind of device.

    Attributes
    ----------
    used
        Hours of the workers from their start to their end or last heartbeat.
    wasted
        By reason, the part of ``used`` that was spent on runs that failed, or on training that was lost with its
        worker.
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

    Attributes
    ----------
    gpu, cpu
        Hours of workers with a GPU, and of workers without one.
    runs_left
        Number of runs without a result.
    planned
        Estimated worker hours of ``runs_left``; None if they are not known.
    """

    name: str
    gpu: DeviceHours
    cpu: DeviceHours
    runs_left: int
    planned: float | None

    @classmethod
    def of(cls, name: str, workers: Sequence[Worker], runs_left: int, planned: float | None) -> StudyHours:
        """The hours of a collection with these workers."""
        gpu_workers = [worker for worker in workers if worker.gpu]
        cpu_workers = [worker for worker in workers if not worker.gpu]
        return cls(name, DeviceHours.of(gpu_workers), DeviceHours.of(cpu_workers), runs_left, planned)

    def numbers(self) -> dict[str, Any]:
        """The hours as a dictionary of plain values, for JSON."""
        return asdict(self)


def _loss_reason(worker: Worker) -> str:
    return normalised(worker.end_reason, worker.host) if worker.end_reason is not None else LOST_WITHOUT_REASON
