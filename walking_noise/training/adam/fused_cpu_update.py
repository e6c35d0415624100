"""Adam on a CPU by torch's fused kernel, which updates all members of a pack at once."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from walking_noise.training.adam.stacked_parameter import BETAS, EPS, StackedParameter

VECTOR = 16
"""float32 numbers in the widest vector register of a CPU."""


class FusedCpuUpdate:
    """Update of all parameters of a pack on a CPU.

    The kernel computes the elements of a tensor in full vectors, and the remainder at its end with another rounding. A
    member's numbers must not depend on the size of its pack, so each of its elements must have the same position in a
    vector in every pack. If the elements of one member fill whole vectors, the kernel gets all members as one tensor.
    Otherwise it gets one tensor per member. Every step first multiplies each member's parameters by ``decay_factor``
    ``(K,)``; None if no member's weights decay.
    """

    finite = None
    """Finite weights are not recorded: they are checked when a loss is not finite."""

    def __init__(self, stacked: Sequence[StackedParameter], decay_factor: Tensor | None = None) -> None:
        self._stacked, self._decay_factor = stacked, decay_factor
        self._tensors = [
            [_in_whole_vectors(tensor) for tensor in (one.parameter, one.first_moment, one.second_moment)]
            for one in stacked
        ]
        self._clamped = [
            (weights, bound)
            for one in stacked
            if one.bound is not None
            for weights, bound in zip(one.parameter.unbind(0), one.bound.tolist(), strict=True)
            if bound < math.inf
        ]

    def __call__(self, gradients: Sequence[Tensor | None], rate: Tensor, step: Tensor) -> None:
        """Update every member in place by gradients ``(K, …)``; decay its weights before, clamp them after.

        A parameter without a gradient is not changed. ``step`` is counted from 1.
        """
        arguments: tuple[list[Tensor], ...] = ([], [], [], [])
        for gradient, stacked, tensors in zip(gradients, self._stacked, self._tensors, strict=True):
            if gradient is not None:
                if self._decay_factor is not None:  # the kernel takes one decay for all members
                    stacked.parameter.mul_(self._decay_factor.view(-1, *(1,) * (stacked.parameter.dim() - 1)))
                for argument, more in zip(arguments, (*tensors, _in_whole_vectors(gradient)), strict=True):
                    argument.extend(more)
        parameters, first_moments, second_moments, gradients_of = arguments
        torch._fused_adam_(
            parameters,
            gradients_of,
            first_moments,
            second_moments,
            [],
            [step] * len(parameters),
            lr=rate,
            beta1=BETAS[0],
            beta2=BETAS[1],
            weight_decay=0.0,
            eps=EPS,
            amsgrad=False,
            maximize=False,
        )
        for weights, bound in self._clamped:  # torch's clamp is six times slower with bounds as tensors
            weights.clamp_(-bound, bound)


def _in_whole_vectors(tensor: Tensor) -> Sequence[Tensor]:
    """The stack ``(K, …)`` as the tensors that the kernel gets."""
    return [tensor] if tensor[0].numel() % VECTOR == 0 else tensor.unbind(0)
