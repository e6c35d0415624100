"""Which runs stopped being numbers, when, and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from walking_noise.optimizer import PackedAdam
    from walking_noise.pack import Pack


class Health:
    """The first epochs (1 is the first) in which each member of a pack overflowed and diverged.

    *Overflow*: finite weights gave logits, a loss, a variance of a BatchNorm or a squared gradient that float32
    cannot hold, as noise levels near 1e16 do.
    *Divergence*: the weights themselves are no longer finite. An overflow in training is followed by a divergence; the
    cause is whichever came first.
    """

    def __init__(self, members: int, device: torch.device) -> None:
        self.overflow_epoch: list[int | None] = [None] * members
        self.diverged_epoch: list[int | None] = [None] * members
        self._overflowed = torch.zeros(members, dtype=torch.bool, device=device)

    def after_loss(self, losses: Tensor, optimizer: PackedAdam) -> None:
        """Look at the losses ``(K,)`` of one step, before the weights are updated; a GPU is not waited for."""
        sick = ~losses.isfinite()
        if losses.device.type != "cpu" or bool(sick.any()):  # on a CPU the weights take longer to look at than losses
            self._overflowed |= sick & optimizer.weights_finite()

    def after_epoch(self, pack: Pack, optimizer: PackedAdam, epochs: Sequence[int]) -> None:
        """Look at the weights, and at what BatchNorm and Adam keep beside them, as each member's epoch ends."""
        kept = (pack.buffers_finite() & optimizer.moments_finite()).tolist()
        weights, overflowed = pack.finite().tolist(), self._overflowed.tolist()
        for member, epoch in enumerate(epochs):
            if overflowed[member] or (weights[member] and not kept[member]):
                self.overflow_epoch[member] = self.overflow_epoch[member] or epoch
            if not weights[member]:
                self.diverged_epoch[member] = self.diverged_epoch[member] or epoch

    def take_up(self, other: Health, members: Sequence[int]) -> None:
        """Go on with what was seen of chosen members of another pack."""
        self.overflow_epoch = [other.overflow_epoch[member] for member in members]
        self.diverged_epoch = [other.diverged_epoch[member] for member in members]
        self._overflowed.copy_(other._overflowed[list(members)])
