"""Layers of a pack that have no parameters and compute every sample separately."""

from __future__ import annotations

from torch import Tensor, nn


class SampleBySample(nn.Module):
    """A layer without parameters that computes every sample separately; all members are computed at once."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layer(x.flatten(0, 1)).unflatten(0, x.shape[:2])
        return y
