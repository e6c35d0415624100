"""Small residual network with BatchNorm and noise points of its own."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from walking_noise.models.model import Model
from walking_noise.models.noise_points import NoisePoint

WIDTH = 6


class Block(nn.Module):
    """Two convolutions and the residual connection."""

    def __init__(self, name: str, channels: int, filters: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, filters, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(filters)
        self.conv2 = nn.Conv2d(filters, filters, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(filters)
        self.around = nn.Conv2d(channels, filters, 1, stride, bias=False)
        self.after_conv1 = NoisePoint(f"{name}.conv1")
        self.after_bn1 = NoisePoint(f"{name}.bn1")
        self.after_sum = NoisePoint(f"{name}.sum")

    def forward(self, x: Tensor) -> Tensor:
        y = self.after_bn1(self.bn1(self.after_conv1(self.conv1(x))))
        y = self.bn2(self.conv2(torch.relu(y)))
        y = self.after_sum(y + self.around(x))
        return torch.relu(y)


def build(inputs: tuple[int, ...], classes: int, batch_norm: bool) -> nn.Module:
    """A convolution, two blocks, and a linear layer on the mean over the image."""
    if not batch_norm:
        raise ValueError("residual has BatchNorm always")
    return nn.Sequential(
        nn.Conv2d(inputs[0], WIDTH, 3, stride=2),
        NoisePoint("conv"),
        Block("block1", WIDTH, WIDTH, 1),
        Block("block2", WIDTH, 2 * WIDTH, 2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(2 * WIDTH, classes),
        NoisePoint("fc"),
    )


MODEL = Model("residual", build)
