"""Callbacks of a training: they resume its members, and save them at the end of an epoch."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING

from walking_noise.config.run_config import RunConfig
from walking_noise.training.member import Member

if TYPE_CHECKING:
    from walking_noise.training.trainer import PackTrainer

Snapshot = Callable[[], list[Member]]
"""Returns the members as they were when the snapshot was taken, on the CPU. The members are unstacked at the call."""


class TrainingCallbacks:
    """Callbacks of a training. This base class starts every member at its first epoch and saves nothing."""

    def resume(self, configs: Sequence[RunConfig]) -> list[Member]:
        """Return the members of these runs, each with the epoch at which its training continues."""
        return [Member(config) for config in configs]

    def epoch_ended(self, trainer: PackTrainer) -> None:
        """Called after each epoch, including its evaluation."""

    def fast_forwarded(self, trainer: PackTrainer) -> None:
        """Called with the trainer of diverged members, after it has fast-forwarded their remaining epochs."""

    def write(self, keys: Collection[str] | None = None) -> None:
        """Save the members that are not yet saved: all of them, or those with these network keys."""
