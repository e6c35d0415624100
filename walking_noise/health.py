"""Which runs stopped being numbers, when, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

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

    def __init__(self, members: int) -> None:
        self.overflow_epoch: list[int | None] = [None] * members
        self.diverged_epoch: list[int | None] = [None] * members

    def after_loss(self, pack: Pack, losses: Tensor, epoch: int) -> None:
        """Look at the losses ``(K,)`` of one step, before the weights are updated."""
        finite = losses.isfinite()
        if bool(finite.all()):
            return
        weights_finite = pack.finite().tolist()
        for member, fine in enumerate(finite.tolist()):
            if not fine and weights_finite[member]:
                self._overflowed(member, epoch)

    def after_epoch(self, pack: Pack, optimizer: PackedAdam, epoch: int) -> None:
        """Look at the weights, and at what BatchNorm and Adam keep beside them, at the end of an epoch."""
        kept = (pack.buffers_finite() & optimizer.finite()).tolist()
        for member, fine in enumerate(pack.finite().tolist()):
            if not fine and self.diverged_epoch[member] is None:
                self.diverged_epoch[member] = epoch
            elif fine and not kept[member]:
                self._overflowed(member, epoch)

    def _overflowed(self, member: int, epoch: int) -> None:
        if self.overflow_epoch[member] is None:
            self.overflow_epoch[member] = epoch
