"""Adam and its schedule for a pack, with a step count and a learning rate per run."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from walking_noise.pack.stacking import StackedState, all_finite
from walking_noise.training.adam.fused_cpu_update import FusedAdam
from walking_noise.training.adam.reference_update import Move, Stack, corrections, plain_move


def cosine_rate(learning_rate: float, epoch: int, epochs: int) -> float:
    """The learning rate in an epoch, 0 being the first.

    Cosine annealing to 0 over all epochs (Loshchilov and Hutter 2017).
    """
    return 0.5 * learning_rate * (1 + math.cos(math.pi * epoch / epochs))


class PackedAdam:
    """Adam (Kingma and Ba 2015) on stacked parameters ``(K, …)``.

    On a GPU a step waits for nothing and all that changes stands in tensors that stay, so that it can be captured.

    Parameters
    ----------
    bounds
        For each parameter the members' bounds ``(K,)`` to which it is clamped after every step, infinite where it is
        free; None if no member's is clamped.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], bounds: Sequence[Tensor | None] | None = None) -> None:
        self.parameters = list(parameters)
        bounds = [None] * len(self.parameters) if bounds is None else bounds
        self._stacks = [Stack.of(*both) for both in zip(self.parameters, bounds, strict=True)]
        members, device = len(self.parameters[0]), self.parameters[0].device
        self._rates = torch.zeros(members, dtype=torch.float64, device=device)
        self._steps = torch.zeros(members, dtype=torch.float64, device=device)
        self._finite = torch.ones(members, dtype=torch.int32, device=device)
        self._fused = FusedAdam(self._stacks) if device.type == "cpu" else None
        self._move = _fastest_move(device)

    def anneal(self, rates: Sequence[float]) -> None:
        """Set the members' learning rates for the steps to come."""
        self._rates.copy_(torch.tensor(rates, dtype=torch.float64))
        self._finite.copy_(self._look_at_weights())
        if self._fused is not None:
            self._fused.regroup(self._rates, self._steps)

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor | None]) -> None:
        """Update every member from the gradients ``(K, …)`` of its own loss; a parameter without one stays as it is."""
        gradients = [None if gradient is None else gradient.contiguous() for gradient in gradients]
        self._steps += 1
        if self._fused is not None:
            self._fused.move(gradients)
            return
        size, root = (values.to(self.parameters[0].dtype) for values in corrections(self._rates, self._steps))
        for stack, gradient in zip(self._stacks, gradients, strict=True):
            if gradient is not None:
                self._move(stack, gradient, size, root, self._finite)

    def weights_finite(self) -> Tensor:
        """For each member whether all of its parameters are finite, ``(K,)``; on a GPU every step notes it."""
        return self._finite.bool() if self._fused is None else self._look_at_weights()

    def moments_finite(self) -> Tensor:
        """For each member whether the second moments of its gradients are finite, ``(K,)``."""
        return all_finite([stack.square for stack in self._stacks])

    def stacked_state(self) -> StackedState:
        """The moments of every parameter and the steps done, ``(K, …)``; the parameters themselves are the pack's."""
        moments: StackedState = {"steps": self._steps}
        for place, stack in enumerate(self._stacks):
            moments |= {f"mean.{place}": stack.mean, f"square.{place}": stack.square}
        return moments

    def _look_at_weights(self) -> Tensor:
        return all_finite([stack.parameter for stack in self._stacks])


def _fastest_move(device: torch.device) -> Move:
    if device.type != "cuda":
        return plain_move
    from walking_noise.training.adam.triton_update import move

    return move
