"""LeNet-5 with ReLU and max-pooling: two convolutions without padding, three linear layers."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from walking_noise.models.model import Layers, Model, add_block

if TYPE_CHECKING:
    from torch import nn

KERNEL, POOL = 5, 2
CHANNELS = (6, 16)
HIDDEN = (120, 84)


def build(inputs: tuple[int, ...], classes: int, batch_norm: bool) -> nn.Sequential:
    """The layers for inputs (channels, height, width) of at least 16×16; raise ValueError for smaller ones."""
    from torch import nn

    layers: Layers = OrderedDict()
    channels, height, width = inputs
    for number, filters in enumerate(CHANNELS, start=1):
        norm2d = nn.BatchNorm2d(filters) if batch_norm else None
        add_block(layers, "conv", number, nn.Conv2d(channels, filters, KERNEL), norm2d)
        layers[f"pool{number}"] = nn.MaxPool2d(POOL)
        channels, height, width = filters, (height - KERNEL + 1) // POOL, (width - KERNEL + 1) // POOL
    if min(height, width) < 1:
        raise ValueError(f"lenet5 needs inputs of at least 16×16, not {inputs[1]}×{inputs[2]}")
    layers["flatten"] = nn.Flatten()
    features = channels * height * width
    for number, width_out in enumerate(HIDDEN, start=1):
        norm = nn.BatchNorm1d(width_out) if batch_norm else None
        add_block(layers, "fc", number, nn.Linear(features, width_out), norm)
        features = width_out
    layers["fc3"] = nn.Linear(features, classes)
    return nn.Sequential(layers)


MODEL = Model("lenet5", build)
