"""Perceptron as a plain sequence of layers, with noise points of its own that have other names than the layers."""

from __future__ import annotations

from math import prod

from torch import nn

from walking_noise.models.model import Model
from walking_noise.models.noise_points import NoisePoint

WIDTH = 32


def build(inputs: tuple[int, ...], classes: int, batch_norm: bool) -> nn.Module:
    """Two hidden layers, with noise before and after each ReLU."""
    if batch_norm:
        raise ValueError("named_points has no BatchNorm")
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(prod(inputs), WIDTH),
        NoisePoint("first sum"),
        nn.ReLU(),
        NoisePoint("first rate"),
        nn.Linear(WIDTH, WIDTH),
        NoisePoint("second sum"),
        nn.ReLU(),
        NoisePoint("second rate"),
        nn.Linear(WIDTH, classes),
        NoisePoint("logits"),
    )


MODEL = Model("named_points", build)
"""Model with the noise points input, first sum, first rate, second sum, second rate and logits."""
