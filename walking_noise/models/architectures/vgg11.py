"""VGG-11 for images of 32×32 (Simonyan and Zisserman 2015, configuration A), with a single linear layer.

The layers are those of the papers' code, but for its average pooling over one pixel, which computes nothing and has a
noise point of its own there.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from walking_noise.models.model import Layers, Model, add_block

if TYPE_CHECKING:
    from torch import nn

STAGES = ((64,), (128,), (256, 256), (512, 512), (512, 512))
"""Filters of the convolutions before each max-pooling."""
SMALLEST = 2 ** len(STAGES)


def build(inputs: tuple[int, ...], classes: int, batch_norm: bool) -> nn.Sequential:
    """The layers for inputs (channels, height, width) of at least 32×32; raise ValueError for smaller ones."""
    from torch import nn

    layers: Layers = OrderedDict()
    channels, height, width = inputs
    if min(height, width) < SMALLEST:
        raise ValueError(f"vgg11 needs inputs of at least {SMALLEST}×{SMALLEST}, not {height}×{width}")
    number = 0
    for stage, convolutions in enumerate(STAGES, start=1):
        for filters in convolutions:
            number += 1
            norm = nn.BatchNorm2d(filters) if batch_norm else None
            add_block(layers, "conv", number, nn.Conv2d(channels, filters, 3, padding=1), norm)
            channels = filters
        layers[f"pool{stage}"] = nn.MaxPool2d(2)
    layers["flatten"] = nn.Flatten()
    layers["fc1"] = nn.Linear(channels * (height // SMALLEST) * (width // SMALLEST), classes)
    return nn.Sequential(layers)


MODEL = Model("vgg11", build)
