"""The stretch of time in which steps are counted."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch

from experiments.benchmark.process_group_timing import wait_for_all
from walking_noise import Stopped
from walking_noise.training import cuda_graph


@dataclass(frozen=True)
class Timing:
    """How long is measured.

    Attributes
    ----------
    rounds
        Times that each peer has its turn.
    seconds
        Of a turn, once it is warm.
    warm_up
        Seconds, and at least :data:`WARM_UP_STEPS` steps, that are not counted.
    """

    rounds: int = 5
    seconds: float = 2.0
    warm_up: float = 0.5


WARM_UP_STEPS = 3 + cuda_graph.WARM_UP_STEPS
"""Enough for a step to be audited, warmed up and recorded, and for some to be replayed."""


class Window:
    """Counts steps from when all processes are warm until the time is over; then ends the training by Stopped.

    Attributes
    ----------
    rate
        Steps per second, once it is over.
    """

    def __init__(self, device: torch.device, timing: Timing) -> None:
        self.device, self.timing = device, timing
        self.rate = 0.0
        self._steps = 0
        self._first: float | None = None
        self._opened: float | None = None

    def step(self) -> None:
        """Count a step; raises :class:`walking_noise.Stopped` after the last."""
        now = time.perf_counter()
        self._steps += 1
        self._first = self._first or now
        if self._opened is None:
            if self._steps >= WARM_UP_STEPS and now - self._first >= self.timing.warm_up:
                settle(self.device)
                wait_for_all()
                self._steps, self._opened = 0, time.perf_counter()
        elif now - self._opened >= self.timing.seconds:
            settle(self.device)
            self.rate = self._steps / (time.perf_counter() - self._opened)
            raise Stopped("measured")


def settle(device: torch.device) -> None:
    """Wait until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
