"""Adam and its schedule for a pack, with a step count and a learning rate per run."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

BETAS = (0.9, 0.999)
EPS = 1e-8


def cosine_rate(learning_rate: float, epoch: int, epochs: int) -> float:
    """The learning rate in an epoch (0 is the first): cosine annealing to 0 over all epochs (Loshchilov and Hutter 2017)."""
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

    def _update(self, members: slice, rate: float, step: float) -> None:
        def part(tensors: Sequence[Tensor | None]) -> list[Tensor]:
            return [tensor[members] for tensor in tensors if tensor is not None]

        parameters = part(self.parameters)
        torch._fused_adam_(
            parameters,
            part([parameter.grad for parameter in self.parameters]),
            part(self.means),
            part(self.squares),
            [],
            [torch.tensor(step + 1, device=parameter.device) for parameter in parameters],
            lr=rate,
            beta1=BETAS[0],
            beta2=BETAS[1],
            weight_decay=0.0,
            eps=EPS,
            amsgrad=False,
            maximize=False,
        )
