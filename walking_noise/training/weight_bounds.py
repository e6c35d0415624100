"""Bounds on the weights of a pack, and the decay of its parameters, from the settings of its runs."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from walking_noise.config.run_config import RunConfig
from walking_noise.pack.pack import Pack


def weight_bounds(configs: Sequence[RunConfig], pack: Pack) -> list[Tensor | None]:
    """For each parameter of the pack the bounds ``(K,)`` to which the runs clamp it; None if no run does.

    Only the weights of conv and linear layers are clamped.
    """
    each = [config.training.weight_clamp or float("inf") for config in configs]
    weights = set(pack.weights().values())
    bounds = torch.tensor(each, device=next(pack.parameters()).device) if min(each) < float("inf") else None
    return [bounds if parameter in weights else None for parameter in pack.parameters()]


def weight_decay(configs: Sequence[RunConfig], device: torch.device) -> Tensor | None:
    """The runs' weight decay, float64 ``(K,)``; None if no run has one."""
    each = [config.training.weight_decay for config in configs]
    return torch.tensor(each, dtype=torch.float64, device=device) if any(each) else None


class WeightClip:
    """Clipping of the weights of each conv and linear layer to a multiple of their own standard deviation."""

    def __init__(self, configs: Sequence[RunConfig], pack: Pack) -> None:
        self._multiples = [config.training.weight_clip_std for config in configs]
        self._weights: list[nn.Parameter] = list(pack.weights().values()) if any(self._multiples) else []

    @torch.no_grad()
    def __call__(self) -> None:
        """Clip the weights of the members that have a multiple, each member by itself."""
        for weights in self._weights:
            for weight, multiple in zip(weights, self._multiples, strict=True):
                if multiple is not None:
                    bound = multiple * weight.std(correction=0)
                    weight.clamp_(-bound, bound)
