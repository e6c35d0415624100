"""Time window in which training steps are counted."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch

from experiments.benchmark.pack_rates import settle
from experiments.benchmark.timed_processes import wait_for_all
from walking_noise import Stopped
from walking_noise.training import cuda_graph


@dataclass(frozen=True)
class Timing:
    """Durations of a measurement.

    Attributes
    ----------
    rounds
        Number of times that each peer is measured.
    seconds
        Duration of one measurement, after the warm-up.
    warm_up
        Seconds that are not counted at the beginning; they include at least :data:`WARM_UP_STEPS` steps.
    """

    rounds: int = 5
    seconds: float = 2.0
    warm_up: float = 0.5


WARM_UP_STEPS = 3 + cuda_graph.WARM_UP_STEPS
"""Steps for the audit of the noise, for the warm-up and the recording of the CUDA graph, and for some replays of it."""


class Window:
    """Time window of a measurement; it opens when all processes are warm, and ends the training when it closes.

    Attributes
    ----------
    rate
        Steps per second; 0 until the window is closed. On a CPU seconds are those that the process has computed, so
        that other work on the machine counts less.
    """

    def __init__(self, device: torch.device, timing: Timing) -> None:
        self.device, self.timing = device, timing
        self.rate = 0.0
        self._now = time.process_time if device.type == "cpu" else time.perf_counter
        self._steps = 0
        self._first: float | None = None
        self._opened: float | None = None

    def step(self, steps: int = 1) -> None:
        """Count one or more steps; raise :class:`walking_noise.Stopped` after the last one."""
        now = self._now()
        self._steps += steps
        self._first = self._first or now
        if self._opened is None:
            if self._steps >= WARM_UP_STEPS and now - self._first >= self.timing.warm_up:
                settle(self.device)
                wait_for_all()
                self._steps, self._opened = 0, self._now()
        elif now - self._opened >= self.timing.seconds:
            settle(self.device)
            self.rate = self._steps / (self._now() - self._opened)
            raise Stopped("measured")
