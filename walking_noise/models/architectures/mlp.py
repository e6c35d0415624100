"""Multilayer perceptron: hidden layers, three of 64 neurons by default, and the output layer."""

from __future__ import annotations

from collections import OrderedDict
from math import prod
from typing import TYPE_CHECKING

from walking_noise.models.model import Layers, Model, add_block

if TYPE_CHECKING:
    from torch import nn

HIDDEN = (64, 64, 64)


def build(inputs: tuple[int, ...], classes: int, batch_norm: bool, hidden: tuple[int, ...] = HIDDEN) -> nn.Sequential:
    """The layers for inputs of any shape."""
    from torch import nn

    layers: Layers = OrderedDict(flatten=nn.Flatten())
    features = prod(inputs)
    for number, width in enumerate(hidden, start=1):
        norm = nn.BatchNorm1d(width) if batch_norm else None
        add_block(layers, "fc", number, nn.Linear(features, width), norm)
        features = width
    layers[f"fc{len(hidden) + 1}"] = nn.Linear(features, classes)
    return nn.Sequential(layers)


MODEL = Model("mlp", build, hidden=HIDDEN)
