"""Callbacks of a training: the epoch at which its members start, and what is saved at the end of an epoch."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING

from walking_noise.config.run_config import RunConfig
from walking_noise.training.member import Member

if TYPE_CHECKING:
    from walking_noise.training.trainer import PackTrainer

Snapshot = Callable[[], list[Member]]
"""Members at the time of the snapshot, on the CPU. They are unstacked when it is called."""


class TrainingCallbacks:
    """Callbacks that do nothing: every member starts at its first epoch, and nothing is saved."""

    def resume(self, configs: Sequence[RunConfig]) -> list[Member]:
        """Return the members of these runs, each at the epoch at which its training continues."""
        return [Member(config) for config in configs]

    def epoch_ended(self, trainer: PackTrainer) -> None:
        """Called after each epoch, when its losses and accuracies are known."""

    def fast_forwarded(self, trainer: PackTrainer) -> None:
        """Called with diverged members after their remaining epochs were fast-forwarded."""

    def write(self, keys: Collection[str] | None = None) -> None:
        """Write what is not written yet, of all members or of those with these network keys."""
