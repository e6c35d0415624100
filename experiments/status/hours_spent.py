"""What a study spends: the hours of its workers, what of them was lost, and what the rest will take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from experiments.status.failures.causes import normalised
from experiments.status.worker_statistics import Worker

FAILED_RUNS = "runs that failed"
NO_SIGN_OF_LIFE = "lost without a sign of life"


@dataclass(frozen=True)
class Spent:
    """Hours of workers on one kind of device.

    Attributes
    ----------
    used
        From their start to their end, or to when they were last heard of.
    wasted
        Of these, the hours spent on runs that failed, and on training that was lost with its worker, by reason.
    """

    used: float
    wasted: dict[str, float]

    @property
    def wasted_in_all(self) -> float:
        return sum(self.wasted.values())

    @classmethod
    def by(cls, workers: Sequence[Worker]) -> Spent:
        wasted: dict[str, float] = {}
        for worker in workers:
            for reason, hours in ((FAILED_RUNS, worker.failed_hours), (_reason(worker), worker.lost_hours)):
                if hours > 0:
                    wasted[reason] = wasted.get(reason, 0.0) + hours
        return cls(sum(worker.hours for worker in workers), wasted)


@dataclass(frozen=True)
class HoursAccount:
    """What a collection, or several together, have spent and will spend.

    Attributes
    ----------
    gpu, cpu
        Spent on GPUs, and on processors alone.
    runs_left
        Runs that have no result.
    planned
        Hours that they will take, on the device that was used so far or was measured; None if that is not known.
    """

    name: str
    gpu: Spent
    cpu: Spent
    runs_left: int
    planned: float | None

    @classmethod
    def of(cls, name: str, workers: Sequence[Worker], runs_left: int, planned: float | None) -> HoursAccount:
        on_gpu = [worker for worker in workers if worker.gpu]
        others = [worker for worker in workers if not worker.gpu]
        return cls(name, Spent.by(on_gpu), Spent.by(others), runs_left, planned)

    def numbers(self) -> dict[str, Any]:
        """The account as plain values."""
        return asdict(self)


def _reason(worker: Worker) -> str:
    return normalised(worker.end, worker.host) if worker.end is not None else NO_SIGN_OF_LIFE
