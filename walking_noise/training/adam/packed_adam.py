"""Adam optimizer of a pack, with a learning rate and a step count per member, and the learning rate schedule."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from walking_noise.pack.stacking import StackedState, all_finite
from walking_noise.training.adam.fused_cpu_update import FusedAdam
from walking_noise.training.adam.reference_update import (
    StackedParameter,
    UpdateRule,
    bias_corrections,
    reference_update,
)


def cosine_rate(learning_rate: float, epoch: int, epochs: int) -> float:
    """The learning rate in an epoch, counted from 0.

    Cosine annealing to 0 over all epochs (Loshchilov and Hutter 2017).
    """
    return 0.5 * learning_rate * (1 + math.cos(math.pi * epoch / epochs))


class PackedAdam:
    """Adam (Kingma and Ba 2015) on stacked parameters ``(K, …)``.

    On a GPU, a step never synchronises and changes tensors only in place, so that a CUDA graph can capture it.

    Parameters
    ----------
    bounds
        For each parameter the members' bounds ``(K,)``, to which it is clamped after every step; infinite for a member
        that is not clamped. None for a parameter that no member clamps.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], bounds: Sequence[Tensor | None] | None = None) -> None:
        self.parameters = list(parameters)
        bounds = [None] * len(self.parameters) if bounds is None else bounds
        self._stacked = [StackedParameter.initial(*both) for both in zip(self.parameters, bounds, strict=True)]
        members, device = len(self.parameters[0]), self.parameters[0].device
        self._rates = torch.zeros(members, dtype=torch.float64, device=device)
        self._steps = torch.zeros(members, dtype=torch.float64, device=device)
        self._finite = torch.ones(members, dtype=torch.int32, device=device)
        self._fused = FusedAdam(self._stacked) if device.type == "cpu" else None
        self._update = _fastest_update_rule(device)

    def anneal(self, rates: Sequence[float]) -> None:
        """Set the members' learning rates for the next steps."""
        self._rates.copy_(torch.tensor(rates, dtype=torch.float64))
        self._finite.copy_(self._check_weights())
        if self._fused is not None:
            self._fused.regroup(self._rates, self._steps)

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor | None]) -> None:
        """Update every member by the gradients ``(K, …)`` of its own loss.

        A parameter without a gradient is not changed.
        """
        gradients = [None if gradient is None else gradient.contiguous() for gradient in gradients]
        self._steps += 1
        if self._fused is not None:
            self._fused.update(gradients)
            return
        step_size, bias_correction2_sqrt = (
            values.to(self.parameters[0].dtype) for values in bias_corrections(self._rates, self._steps)
        )
        for stacked, gradient in zip(self._stacked, gradients, strict=True):
            if gradient is not None:
                self._update(stacked, gradient, step_size, bias_correction2_sqrt, self._finite)

    def weights_finite(self) -> Tensor:
        """For each member whether all of its parameters are finite, ``(K,)``.

        On a CPU, the call checks the parameters. On a GPU, every step records whether they are finite.
        """
        return self._finite.bool() if self._fused is None else self._check_weights()

    def moments_finite(self) -> Tensor:
        """For each member whether the second moments of its gradients are finite, ``(K,)``."""
        return all_finite([stacked.second_moment for stacked in self._stacked])

    def stacked_state(self) -> StackedState:
        """The moments of every parameter and the number of completed steps, ``(K, …)``, without the parameters."""
        moments: StackedState = {"steps": self._steps}
        for position, stacked in enumerate(self._stacked):
            moments |= {f"mean.{position}": stacked.first_moment, f"square.{position}": stacked.second_moment}
        return moments

    def _check_weights(self) -> Tensor:
        return all_finite([stacked.parameter for stacked in self._stacked])


def _fastest_update_rule(device: torch.device) -> UpdateRule:
    if device.type != "cuda":
        return reference_update
    from walking_noise.training.adam.triton_update import triton_update

    return triton_update
