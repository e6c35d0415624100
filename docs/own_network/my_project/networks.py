"""A small residual network for digits, written as for any other purpose."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Block(nn.Module):
    """Two convolutions and the residual path around them; one ReLU is used twice."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.conv2(self.relu(self.conv1(x))) + x)


class ResidualNet(nn.Module):
    """A convolution, a residual block, and a linear layer on the mean over the image."""

    def __init__(self, inputs: tuple[int, ...], classes: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(inputs[0], 8, 5, stride=3)
        self.block = Block(8)
        self.head = nn.Linear(8 * 4, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.block(torch.relu(self.stem(x)))
        return self.head(nn.functional.adaptive_avg_pool2d(x, 2).flatten(1))


def build(inputs: tuple[int, ...], classes: int, batch_norm: bool) -> nn.Module:
    """The network for samples of shape ``inputs``; called for every run, which sets the seed before."""
    if batch_norm:
        raise ValueError("this network has no BatchNorm")
    return ResidualNet(inputs, classes)
