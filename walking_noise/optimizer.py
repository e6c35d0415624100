"""Adam and its schedule for a pack, with a step count and a learning rate per run."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

BETAS = (0.9, 0.999)
EPS = 1e-8
VECTOR = 16
"""float32 numbers in the widest vector register of a CPU."""


def cosine_rate(learning_rate: float, epoch: int, epochs: int) -> float:
    """The learning rate in an epoch, 0 being the first.

    Cosine annealing to 0 over all epochs (Loshchilov and Hutter 2017).
    """
    return 0.5 * learning_rate * (1 + math.cos(math.pi * epoch / epochs))


class PackedAdam:
    """Adam (Kingma and Ba 2015) on stacked parameters ``(K, …)``; torch's fused kernel does the arithmetic.

    Members with equal rate and step are updated together, others each by themselves.
    """

    def __init__(self, parameters: Sequence[nn.Parameter]) -> None:
        self.parameters = list(parameters)
        self.means = [torch.zeros_like(parameter) for parameter in self.parameters]
        self.squares = [torch.zeros_like(parameter) for parameter in self.parameters]
        self.steps = [0.0] * len(self.parameters[0])

    @torch.no_grad()
    def step(self, rates: Sequence[float]) -> None:
        """Update every member with its learning rate, from the gradients of its own loss; clears the gradients."""
        if len(set(zip(rates, self.steps, strict=True))) == 1:
            self._update(slice(None), rates[0], self.steps[0])
        else:
            for member, (rate, step) in enumerate(zip(rates, self.steps, strict=True)):
                self._update(slice(member, member + 1), rate, step)
        self.steps = [step + 1 for step in self.steps]
        for parameter in self.parameters:
            parameter.grad = None

    def finite(self) -> Tensor:
        """For each member whether the second moments of its gradients are finite, ``(K,)``."""
        return torch.stack([square.isfinite().flatten(1).all(1) for square in self.squares]).all(0)

    def _update(self, members: slice, rate: float, step: float) -> None:
        stacks = zip(self.parameters, self.means, self.squares, strict=True)
        moved = [(p, p.grad, mean, square) for p, mean, square in stacks if p.grad is not None]
        parameters, gradients, means, squares = (_in_rows(tensors, members) for tensors in zip(*moved, strict=True))
        torch._fused_adam_(
            parameters,
            gradients,
            means,
            squares,
            [],
            [torch.tensor(step + 1, device=parameters[0].device)] * len(parameters),
            lr=rate,
            beta1=BETAS[0],
            beta2=BETAS[1],
            weight_decay=0.0,
            eps=EPS,
            amsgrad=False,
            maximize=False,
        )


def _in_rows(tensors: Sequence[Tensor], members: slice) -> list[Tensor]:
    """The chosen members' parts, as whole tensors where each member fills whole vectors, else member by member.

    The kernel for CPUs rounds the elements left over at the end of a tensor in another way than those in full
    vectors, so a member's elements must stand in the same place of a vector whatever the size of the pack.
    """
    rows: list[Tensor] = []
    for tensor in tensors:
        chosen = tensor[members]
        whole = tensor.device.type != "cpu" or tensor[0].numel() % VECTOR == 0
        rows.extend([chosen] if whole else chosen.unbind(0))
    return rows
