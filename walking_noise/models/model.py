"""What a model is, and the blocks the models are written in."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

Layers = OrderedDict[str, nn.Module]


@dataclass(frozen=True)
class Model:
    """A named network.

    ``build(inputs, classes, batch_norm)`` gives a plain ``nn.Sequential`` without noise points, which then stand after
    each of its layers, or any module that calls its own (:class:`walking_noise.models.noise_points.NoisePoint`). It maps samples
    ``(B, *inputs)`` to logits ``(B, classes)``, and raises ValueError for inputs it cannot take.
    """

    name: str
    build: Callable[[tuple[int, ...], int, bool], nn.Module]


def add_block(layers: Layers, name: str, number: int, layer: nn.Module, norm: nn.Module | None) -> None:
    """Append ``layer``, its BatchNorm if any, and a ReLU, as ``fc1``, ``bn1``, ``relu1``.

    BatchNorm and ReLU are numbered by the block they stand in, conv and linear layers (``number``) by their kind.
    """
    block = sum(isinstance(existing, nn.ReLU) for existing in layers.values()) + 1
    layers[f"{name}{number}"] = layer
    if norm is not None:
        layers[f"bn{block}"] = norm
    layers[f"relu{block}"] = nn.ReLU()
