"""Layers that treat every sample alone."""

from __future__ import annotations

from torch import Tensor, nn


class SampleBySample(nn.Module):
    """A layer without parameters that treats every sample alone, for all runs at once."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layer(x.flatten(0, 1)).unflatten(0, x.shape[:2])
        return y
