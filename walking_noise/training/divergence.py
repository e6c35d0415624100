"""Divergence detection: the epochs in which members of a pack overflowed or diverged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from walking_noise.pack.stacking import StackedState

if TYPE_CHECKING:
    from walking_noise.pack.pack import Pack
    from walking_noise.training.adam.packed_adam import PackedAdam


class DivergenceMonitor:
    """The first epochs in which each member of a pack overflowed and diverged; the training starts with epoch 1.

    *Overflow*: the weights are finite, and logits, a loss, a variance of a BatchNorm or a squared gradient exceed the
    range of float32. Noise levels near 1e16 do this.
    *Divergence*: the weights are not finite. An overflow in training leads to divergence; the event that came first is
    the cause.
    """

    def __init__(self, members: int, device: torch.device) -> None:
        self._overflowed = torch.zeros(members, dtype=torch.bool, device=device)
        self._overflow_epoch, self._diverged_epoch = torch.zeros(2, members, dtype=torch.int64, device=device)

    @property
    def overflow_epoch(self) -> list[int | None]:
        """The first epoch in which each member overflowed; None for a member that did not."""
        return [epoch or None for epoch in self._overflow_epoch.tolist()]

    @property
    def diverged_epoch(self) -> list[int | None]:
        """The first epoch in which each member had diverged; None for a member that did not."""
        return [epoch or None for epoch in self._diverged_epoch.tolist()]

    def after_loss(self, losses: Tensor, optimizer: PackedAdam) -> None:
        """Check the losses ``(K,)`` of one step before the weights are updated. A GPU is not synchronised."""
        nonfinite = ~losses.isfinite()
        if losses.device.type != "cpu" or bool(nonfinite.any()):  # on a CPU it is slower to check weights than losses
            self._overflowed |= nonfinite & optimizer.weights_finite()

    def after_epoch(self, pack: Pack, optimizer: PackedAdam, epoch: int) -> None:
        """Check the weights, the statistics of BatchNorm and the moments of Adam at the end of an epoch."""
        weights = pack.finite()
        overflowed = self._overflowed | (weights & ~(pack.buffers_finite() & optimizer.moments_finite()))
        for first, detected in ((self._overflow_epoch, overflowed), (self._diverged_epoch, ~weights)):
            first.masked_fill_(detected & (first == 0), epoch)

    def stacked_state(self) -> StackedState:
        """The recorded epochs of every member, at the end of an epoch."""
        return {"overflow_epoch": self._overflow_epoch, "diverged_epoch": self._diverged_epoch}
