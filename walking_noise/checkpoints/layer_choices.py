"""Choices between alternatives for the layers of a run on a GPU: a part of what determines its numbers."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from walking_noise import models
from walking_noise.config.run_config import RunConfig
from walking_noise.pack.gpu.choices import ALTERNATIVES, LayerShape, choices, recorded_shapes
from walking_noise.pack.pack import Pack

META = torch.device("meta")


def layer_choices(config: RunConfig, device: torch.device) -> dict[str, str]:
    """The layers of a run for which the table chooses another alternative than the default: shape -> alternative.

    Empty without measurements, and for all devices but GPUs. A layer counts at every number of samples in the table,
    because the last mini-batch and the evaluations have others than a mini-batch.
    """
    other = {shape: name for shape, name in choices(device).items() if name != ALTERNATIVES[shape.operation][0]}
    if not other:
        return {}
    own = {shape.without_samples for shape in layer_shapes(config)}
    return {str(shape): name for shape, name in sorted(other.items(), key=str) if shape.without_samples in own}


def layer_shapes(config: RunConfig) -> tuple[LayerShape, ...]:
    """The layers of a run that have alternatives, in the order of the forward pass of a mini-batch."""
    return _shapes(config.architecture, config.training.batch_size)


@cache
def _shapes(architecture: models.Architecture, batch_size: int) -> tuple[LayerShape, ...]:
    with META, torch.enable_grad(), recorded_shapes() as shapes:
        Pack([models.build(architecture)])(torch.empty(1, batch_size, *architecture.inputs), _unchanged)
    return tuple(shapes)


def _unchanged(point: int, x: Tensor, /, member: int | None = None) -> Tensor:
    """Inject nothing."""
    return x


def in_words(chosen: dict[str, str]) -> str:
    """The choices as one text."""
    return "; ".join(f"{shape}: {name}" for shape, name in chosen.items()) or "default"
