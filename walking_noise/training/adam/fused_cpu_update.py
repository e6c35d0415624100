"""Adam on a CPU by torch's fused kernel, which updates all members of equal learning rate and step count at once."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from walking_noise.training.adam.reference_update import BETAS, EPS, StackedParameter

VECTOR = 16
"""float32 numbers in the widest vector register of a CPU."""


class FusedGroup:
    """Members of equal learning rate and step count, which torch's fused CPU kernel updates together.

    The kernel computes the elements of a tensor in full vectors, and the remainder at its end with another rounding. A
    member's numbers must not depend on the size of its pack, so each of its elements must have the same position in a
    vector in every pack. If the elements of one member fill whole vectors, the kernel gets the rows of all members as
    one tensor. Otherwise it gets one tensor per member.

    Parameters
    ----------
    members
        Indices of the members, ascending.
    step
        Tensor of the current step count, counted from 1.
    """

    def __init__(self, stacked: Sequence[StackedParameter], members: Sequence[int], rate: float, step: Tensor) -> None:
        self.members, self.rate, self.step = members, rate, step
        self.rows = [
            tuple(self._rows(tensor) for tensor in (one.parameter, one.first_moment, one.second_moment))
            for one in stacked
        ]

    def update(self, gradients: Sequence[Tensor | None]) -> None:
        """Update the members in place. A parameter without a gradient is not changed."""
        arguments: tuple[list[Tensor], ...] = ([], [], [], [])
        for gradient, rows in zip(gradients, self.rows, strict=True):
            if gradient is not None:
                for tensors, more in zip(arguments, (*rows, self._rows(gradient)), strict=True):
                    tensors.extend(more)
        parameters, first_moments, second_moments, gradient_rows = arguments
        torch._fused_adam_(
            parameters,
            gradient_rows,
            first_moments,
            second_moments,
            [],
            [self.step] * len(parameters),
            lr=self.rate,
            beta1=BETAS[0],
            beta2=BETAS[1],
            weight_decay=0.0,
            eps=EPS,
            amsgrad=False,
            maximize=False,
        )

    def _rows(self, tensor: Tensor) -> list[Tensor]:
        first, end = self.members[0], self.members[-1] + 1
        if end - first == len(self.members) and tensor[0].numel() % VECTOR == 0:
            return [tensor[first:end]]
        return [tensor[member] for member in self.members]


class FusedAdam:
    """Updates all members of a pack on a CPU."""

    def __init__(self, stacked: Sequence[StackedParameter]) -> None:
        self._stacked = stacked
        self._groups: list[FusedGroup] = []
        self._clamped = [
            (weights, bound)
            for one in stacked
            if one.bound is not None
            for weights, bound in zip(one.parameter.unbind(0), one.bound.tolist(), strict=True)
            if bound < math.inf
        ]

    def regroup(self, rates: Tensor, steps: Tensor) -> None:
        """Group the members by learning rate and step count. ``steps`` is read again at every step."""
        groups: dict[tuple[float, float], list[int]] = {}
        for member, both in enumerate(zip(rates.tolist(), steps.tolist(), strict=True)):
            groups.setdefault(both, []).append(member)
        self._groups = [
            FusedGroup(self._stacked, members, rate, steps[members[0]]) for (rate, _), members in groups.items()
        ]

    def update(self, gradients: Sequence[Tensor | None]) -> None:
        """Update every member in place, and clamp its weights."""
        for group in self._groups:
            group.update(gradients)
        for weights, bound in self._clamped:  # torch's clamp is six times slower with bounds as tensors
            weights.clamp_(-bound, bound)
