"""Adam optimizer of a pack, and the learning rate schedule."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from walking_noise.pack.stacking import StackedState, all_finite
from walking_noise.training.adam.fused_cpu_update import FusedCpuUpdate
from walking_noise.training.adam.stacked_parameter import StackedParameter

if TYPE_CHECKING:
    from walking_noise.training.adam.triton_update import TritonUpdate


def cosine_rate(learning_rate: float, epoch: int, epochs: int) -> float:
    """The learning rate in an epoch, counted from 0.

    Cosine annealing to 0 over all epochs (Loshchilov and Hutter 2017).
    """
    return 0.5 * learning_rate * (1 + math.cos(math.pi * epoch / epochs))


class PackedAdam:
    """Adam (Kingma and Ba 2015) on stacked parameters ``(K, …)``, with decoupled weight decay (AdamW).

    On a GPU, a step never synchronises and changes tensors only in place, so that a CUDA graph can capture it.

    Parameters
    ----------
    bounds
        For each parameter the members' bounds ``(K,)``, to which it is clamped after every step; infinite for a member
        that is not clamped. None for a parameter that no member clamps.
    decay
        float64 ``(K,)``: the members' weight decay of all parameters (Loshchilov and Hutter 2019). None if no member
        has one.
    """

    def __init__(
        self,
        parameters: Sequence[nn.Parameter],
        bounds: Sequence[Tensor | None] | None = None,
        decay: Tensor | None = None,
    ) -> None:
        self.parameters = list(parameters)
        bounds = [None] * len(self.parameters) if bounds is None else bounds
        self._stacked = [StackedParameter.initial(*both) for both in zip(self.parameters, bounds, strict=True)]
        self._rate = torch.zeros((), dtype=torch.float64, device=self.parameters[0].device)
        self._decay = decay
        self._decay_factor = None if decay is None else torch.ones_like(decay, dtype=self.parameters[0].dtype)
        self._update = _update_of(self._stacked, self._decay_factor)

    def anneal(self, rate: float) -> None:
        """Set the learning rate for the next steps."""
        self._rate.fill_(rate)
        if self._decay is not None and self._decay_factor is not None:
            self._decay_factor.copy_(1 - rate * self._decay)
        if self._update.finite is not None:
            self._update.finite.copy_(self._check_weights())

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor | None], index: Tensor) -> None:
        """Update every member by the gradients ``(K, …)`` of its own loss; ``index``: number of completed steps, int64.

        A parameter without a gradient is not changed.
        """
        contiguous = [None if gradient is None else gradient.contiguous() for gradient in gradients]
        self._update(contiguous, self._rate, index + 1)

    def weights_finite(self) -> Tensor:
        """For each member whether all of its parameters are finite, ``(K,)``.

        On a CPU, the call checks the parameters. On a GPU, every step records whether they are finite.
        """
        return self._check_weights() if self._update.finite is None else self._update.finite.bool()

    def moments_finite(self) -> Tensor:
        """For each member whether the second moments of its gradients are finite, ``(K,)``."""
        return all_finite([stacked.second_moment for stacked in self._stacked])

    def stacked_state(self) -> StackedState:
        """The moments of every parameter, ``(K, …)``, without the parameters."""
        moments: StackedState = {}
        for position, stacked in enumerate(self._stacked):
            moments |= {f"mean.{position}": stacked.first_moment, f"square.{position}": stacked.second_moment}
        return moments

    def _check_weights(self) -> Tensor:
        return all_finite([stacked.parameter for stacked in self._stacked])


def _update_of(stacked: Sequence[StackedParameter], decay_factor: Tensor | None) -> FusedCpuUpdate | TritonUpdate:
    """The update for the device of the parameters."""
    if stacked[0].parameter.device.type == "cpu":
        return FusedCpuUpdate(stacked, decay_factor)
    from walking_noise.training.adam.triton_update import TritonUpdate

    return TritonUpdate(stacked, decay_factor)
