"""Which runs stopped being numbers, when, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from walking_noise.stacks import Stacks

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
        self._overflowed = torch.zeros(members, dtype=torch.bool, device=device)
        self._overflow_epoch, self._diverged_epoch = torch.zeros(2, members, dtype=torch.int64, device=device)

    @property
    def overflow_epoch(self) -> list[int | None]:
        """Of each member; None: it never did."""
        return [epoch or None for epoch in self._overflow_epoch.tolist()]

    @property
    def diverged_epoch(self) -> list[int | None]:
        """Of each member; None: it never did."""
        return [epoch or None for epoch in self._diverged_epoch.tolist()]

    def after_loss(self, losses: Tensor, optimizer: PackedAdam) -> None:
        """Look at the losses ``(K,)`` of one step, before the weights are updated; a GPU is not waited for."""
        sick = ~losses.isfinite()
        if losses.device.type != "cpu" or bool(sick.any()):  # on a CPU the weights take longer to look at than losses
            self._overflowed |= sick & optimizer.weights_finite()

    def after_epoch(self, pack: Pack, optimizer: PackedAdam, epoch: int) -> None:
        """Look at the weights, and at what BatchNorm and Adam keep beside them, as an epoch ends."""
        weights = pack.finite()
        overflowed = self._overflowed | (weights & ~(pack.buffers_finite() & optimizer.moments_finite()))
        for first, seen in ((self._overflow_epoch, overflowed), (self._diverged_epoch, ~weights)):
            first.masked_fill_(seen & (first == 0), epoch)

    def stacked_state(self) -> Stacks:
        """What was seen of every member, as an epoch ends."""
        return {"overflow_epoch": self._overflow_epoch, "diverged_epoch": self._diverged_epoch}
