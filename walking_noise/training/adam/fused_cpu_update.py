"""Adam on a CPU: torch's fused kernel, on as many members at once as have equal rate and step."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from walking_noise.training.adam.reference_update import BETAS, EPS, Stack

VECTOR = 16
"""float32 numbers in the widest vector register of a CPU."""


class FusedGroup:
    """Members of equal rate and step, moved together by torch's fused kernel for CPUs.

    That kernel rounds the elements left over at the end of a tensor in another way than those in full vectors, so a
    member's elements must stand in the same place of a vector whatever the size of the pack: the members' parts are
    whole tensors where each fills whole vectors, else tensors of their own.

    Parameters
    ----------
    members
        Ascending.
    step
        A tensor that says which step it is, the first being 1.
    """

    def __init__(self, stacks: Sequence[Stack], members: Sequence[int], rate: float, step: Tensor) -> None:
        self.members, self.rate, self.step = members, rate, step
        self.rows = [
            tuple(self._rows(tensor) for tensor in (stack.parameter, stack.mean, stack.square)) for stack in stacks
        ]

    def move(self, gradients: Sequence[Tensor | None]) -> None:
        """Update the members in place; a parameter without a gradient stays as it is."""
        moved: tuple[list[Tensor], ...] = ([], [], [], [])
        for gradient, rows in zip(gradients, self.rows, strict=True):
            if gradient is not None:
                for tensors, more in zip(moved, (*rows, self._rows(gradient)), strict=True):
                    tensors.extend(more)
        parameters, means, squares, slopes = moved
        torch._fused_adam_(
            parameters,
            slopes,
            means,
            squares,
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
    """Moves all members of a pack on a CPU."""

    def __init__(self, stacks: Sequence[Stack]) -> None:
        self._stacks = stacks
        self._groups: list[FusedGroup] = []
        self._clamped = [
            (weights, bound)
            for stack in stacks
            if stack.bound is not None
            for weights, bound in zip(stack.parameter.unbind(0), stack.bound.tolist(), strict=True)
            if bound < math.inf
        ]

    def regroup(self, rates: Tensor, steps: Tensor) -> None:
        """Let members of equal rate and step move together; ``steps`` is read again at every step."""
        groups: dict[tuple[float, float], list[int]] = {}
        for member, both in enumerate(zip(rates.tolist(), steps.tolist(), strict=True)):
            groups.setdefault(both, []).append(member)
        self._groups = [
            FusedGroup(self._stacks, members, rate, steps[members[0]]) for (rate, _), members in groups.items()
        ]

    def move(self, gradients: Sequence[Tensor | None]) -> None:
        """Update every member in place, and clamp its weights."""
        for group in self._groups:
            group.move(gradients)
        for weights, bound in self._clamped:  # with bounds as tensors, torch's clamp takes six times as long
            weights.clamp_(-bound, bound)
