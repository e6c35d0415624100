"""CNN-S ("Hello Edge", Zhang et al. 2017) without the low-rank layer, and with the stride one convolution earlier."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from walking_noise.models.model import Layers, Model, add_block

if TYPE_CHECKING:
    from torch import nn

KERNEL = (4, 10)
"""Size of the kernels, coefficients × frames; the literature gives it as time × frequency, 10×4."""
FILTERS = (28, 30)
STRIDES = ((1, 2), (1, 1))
"""Strides of the convolutions. The papers halve the frames in the first convolution, Hello Edge in the second."""
HIDDEN = 128


def build(inputs: tuple[int, ...], classes: int, batch_norm: bool) -> nn.Sequential:
    """The layers for inputs (channels, coefficients, frames) of at least 7×28; raise ValueError for smaller ones."""
    from torch import nn

    layers: Layers = OrderedDict()
    channels, height, width = inputs
    for number, (filters, stride) in enumerate(zip(FILTERS, STRIDES, strict=True), start=1):
        norm2d = nn.BatchNorm2d(filters) if batch_norm else None
        add_block(layers, "conv", number, nn.Conv2d(channels, filters, KERNEL, stride), norm2d)
        channels = filters
        height = (height - KERNEL[0]) // stride[0] + 1
        width = (width - KERNEL[1]) // stride[1] + 1
    if min(height, width) < 1:
        raise ValueError(f"cnn_s needs inputs of at least 7×28, not {inputs[1]}×{inputs[2]}")
    layers["flatten"] = nn.Flatten()
    norm = nn.BatchNorm1d(HIDDEN) if batch_norm else None
    add_block(layers, "fc", 1, nn.Linear(channels * height * width, HIDDEN), norm)
    layers["fc2"] = nn.Linear(HIDDEN, classes)
    return nn.Sequential(layers)


MODEL = Model("cnn_s", build)
