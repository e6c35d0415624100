"""Multilayer perceptron: three hidden layers of 64 neurons and the output layer."""

from __future__ import annotations

from collections import OrderedDict
from math import prod
from typing import TYPE_CHECKING

from walking_noise.models.model import Layers, Model, add_block

if TYPE_CHECKING:
    from torch import nn

HIDDEN = 64


def build(inputs: tuple[int, ...], classes: int, batch_norm: bool) -> nn.Sequential:
    """The layers for inputs of any shape."""
    from torch import nn

    layers: Layers = OrderedDict(flatten=nn.Flatten())
    features = prod(inputs)
    for number in (1, 2, 3):
        norm = nn.BatchNorm1d(HIDDEN) if batch_norm else None
        add_block(layers, "fc", number, nn.Linear(features, HIDDEN), norm)
        features = HIDDEN
    layers["fc4"] = nn.Linear(HIDDEN, classes)
    return nn.Sequential(layers)


MODEL = Model("mlp", build)
