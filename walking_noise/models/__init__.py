"""Models by name, their noise points and their summaries; torch is imported when a model is built."""

from __future__ import annotations

import threading
from functools import cache
from typing import TYPE_CHECKING

from walking_noise.models import architectures
from walking_noise.models.model import Model
from walking_noise.models.point import Point
from walking_noise.registry import discover

if TYPE_CHECKING:
    from torch import nn

    from walking_noise.models.model_summary import ModelSummary

__all__ = ["Model", "build", "initialised", "models", "points", "summary"]

_initialising = threading.RLock()
"""Lock around torch's global generator, so that one thread at a time initialises a network."""


@cache
def models() -> dict[str, Model]:
    """All models, by name."""
    return discover(architectures, "MODEL")


def build(name: str, inputs: tuple[int, ...], classes: int, batch_norm: bool) -> nn.Sequential:
    """The network with its noise points, initialised from torch's global random number generator.

    Parameters
    ----------
    name
        Name of the model.
    inputs
        Shape of one sample, (channels, height, width).
    classes
        Number of classes.
    batch_norm
        Whether the network has BatchNorm layers.

    Raises
    ------
    ValueError
        The model does not accept inputs of that shape, or cannot be trained in a pack.
    """
    from walking_noise.models.noise_points import points_in, with_noise_points

    network = with_noise_points(models()[name].build(inputs, classes, batch_norm))
    numbered = {point.name: point for point in points(name, inputs, classes, batch_norm)}
    for module in points_in(network):
        module.point = numbered[module.name]
    return network


def initialised(name: str, inputs: tuple[int, ...], classes: int, batch_norm: bool, seed: int) -> nn.Sequential:
    """The network of :func:`build` with torch's default initialisation, as a function of ``seed``."""
    import torch

    from walking_noise.reproducibility import stream_key

    with _initialising, torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(stream_key(seed, "initialisation"))
        return build(name, inputs, classes, batch_norm)


@cache
def summary(name: str, inputs: tuple[int, ...], classes: int, batch_norm: bool) -> ModelSummary:
    """The summary of a model: its noise points and its size. torch's global generator is left as it was."""
    import torch

    from walking_noise.models.model_summary import summarise
    from walking_noise.models.noise_points import with_noise_points

    with _initialising, torch.random.fork_rng(devices=[]), torch.device("cpu"):
        return summarise(with_noise_points(models()[name].build(inputs, classes, batch_norm)), inputs, classes)


def points(name: str, inputs: tuple[int, ...], classes: int, batch_norm: bool) -> tuple[Point, ...]:
    """The noise points of a model, in the order of their numbers."""
    return summary(name, inputs, classes, batch_norm).points
