"""Progress of a call of train(): numbers of runs and epochs, counted from the events of its packs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from walking_noise.runtime.planner import PlannedTraining
from walking_noise.runtime.run_context import Event, RunEnded
from walking_noise.training.epoch_counts import Epochs


@dataclass(frozen=True)
class Progress:
    """Progress of a call of :func:`walking_noise.train`. Epochs are summed over all trainings.

    Attributes
    ----------
    runs_done
        Runs that have ended, with a result or a failure.
    epochs_done
        Completed epochs, including the resumed ones.
    seconds
        Time since the start of the call.
    epochs_resumed
        Completed epochs that were read from checkpoints or from the cache of networks.
    epochs_kept
        Completed epochs that are saved: in checkpoints, in the cache of networks, or in results.
    """

    runs_done: int
    runs_total: int
    epochs_done: int
    epochs_total: int
    seconds: float
    epochs_resumed: int = 0
    epochs_kept: int = 0


class ProgressCounter:
    """Counts events, and reports the progress after each of them."""

    def __init__(
        self, runs: int, packs: Sequence[list[PlannedTraining]], on_progress: Callable[[Progress], None] | None
    ) -> None:
        self.runs, self.on_progress = runs, on_progress
        self.runs_done, self.started = 0, time.monotonic()
        trained = (one for pack in packs for training in pack for one in training.config.with_teacher)
        self.total = sum({one.network_key: one.training.epochs for one in trained}.values())
        self._by_key: dict[str, Epochs] = {}
        self._sum = Epochs()

    def count(self, event: Event) -> None:
        """Count an event, and report the progress."""
        if isinstance(event, RunEnded):
            self.runs_done += 1
        else:
            for key, now in event.of.items():
                before = self._by_key.get(key, Epochs())
                self._sum = Epochs(*(a + b - c for a, b, c in zip(self._sum, now, before, strict=True)))
                self._by_key[key] = now
        if self.on_progress is not None:
            seconds = time.monotonic() - self.started
            done, resumed, kept = self._sum
            self.on_progress(Progress(self.runs_done, self.runs, done, self.total, seconds, resumed, kept))
