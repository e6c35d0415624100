"""One step of Adam (Kingma and Ba 2015, algorithm 1) for all members of a pack, in plain torch.

Each member has its own learning rate and step count, and a bound to which its weights are clamped after every step
(Walking Noise, section 4).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

BETAS = (0.9, 0.999)
EPS = 1e-8


@dataclass(frozen=True)
class Stack:
    """A parameter of all members, contiguous ``(K, …)``, and what Adam keeps beside it.

    ``bound`` ``(K,)`` says to what each member's weights are clamped, infinite where they are free; None: all are.
    """

    parameter: Tensor
    mean: Tensor
    square: Tensor
    bound: Tensor | None = None

    @classmethod
    def of(cls, parameter: Tensor, bound: Tensor | None = None) -> Stack:
        """At the start of a training."""
        return cls(parameter.detach(), torch.zeros_like(parameter), torch.zeros_like(parameter), bound)

    def beside(self, values: Tensor) -> Tensor:
        """A number per member ``(K,)`` in the dimensions of the parameter."""
        return values.view(-1, *(1,) * (self.parameter.dim() - 1))


class Move(Protocol):
    """Moves one parameter of all members by one step."""

    def __call__(self, stack: Stack, gradient: Tensor, size: Tensor, root: Tensor, finite: Tensor) -> None:
        """Update the stack in place from a contiguous gradient ``(K, …)``.

        Parameters
        ----------
        size, root
            ``rate / (1 - beta1^step)`` and ``sqrt(1 - beta2^step)`` of each member, ``(K,)``, of the parameter's type.
        finite
            int32 ``(K,)``; set to 0 for a member whose parameter is no longer finite, else left as it is.
        """


def corrections(rates: Tensor, steps: Tensor) -> tuple[Tensor, Tensor]:
    """``size`` and ``root`` of :class:`Move` at float64 rates and steps, the first step being 1."""
    return rates / (1 - BETAS[0] ** steps), (1 - BETAS[1] ** steps).sqrt()


def plain_move(stack: Stack, gradient: Tensor, size: Tensor, root: Tensor, finite: Tensor) -> None:
    """The reference that every other way is tested against."""
    stack.mean.lerp_(gradient, 1 - BETAS[0])
    stack.square.mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
    spread = stack.square.sqrt().div_(stack.beside(root)).add_(EPS)
    stack.parameter.sub_(stack.beside(size) * stack.mean / spread)
    if stack.bound is not None:
        bound = stack.beside(stack.bound)
        stack.parameter.clamp_(-bound, bound)
    finite.mul_(stack.parameter.isfinite().flatten(1).all(1))
