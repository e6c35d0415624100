"""The networks of the papers, as plain torch modules; one file each, which defines ``MODEL``."""

from __future__ import annotations

import threading
from functools import cache

import torch
from torch import nn

import walking_noise.models as this_package
from walking_noise.models.model import Model
from walking_noise.models.model_summary import ModelSummary, summarise
from walking_noise.models.noise_points import Point, points_in, with_noise_points
from walking_noise.registry import discover
from walking_noise.reproducibility import key

__all__ = ["Model", "Outline", "build", "initialised", "models", "noise_points", "outline"]

_initialising = threading.Lock()
"""torch's global generator is seeded by one thread at a time."""


@cache
def models() -> dict[str, Model]:
    """Every model, by name."""
    return discover(this_package, "MODEL")


def build(name: str, inputs: tuple[int, ...], classes: int, batch_norm: bool) -> nn.Sequential:
    """The network with its noise points, freshly initialised from torch's global random numbers.

    Parameters
    ----------
    inputs
        Shape of one sample, (channels, height, width).

    Raises
    ------
    ValueError
        The model cannot take inputs of that shape, or cannot be trained in a pack.
    """
    network = with_noise_points(models()[name].build(inputs, classes, batch_norm))
    numbered = {point.name: point for point in noise_points(name, inputs, classes, batch_norm)}
    for place in points_in(network):
        place.point = numbered[place.name]
    return network


def initialised(name: str, inputs: tuple[int, ...], classes: int, batch_norm: bool, seed: int) -> nn.Sequential:
    """The network of :func:`build` with torch's default initialisation, drawn from ``seed``."""
    with _initialising, torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(key(seed, "initialisation"))
        return build(name, inputs, classes, batch_norm)


@cache
def summary(name: str, inputs: tuple[int, ...], classes: int, batch_norm: bool) -> ModelSummary:
    """What is known of a model without building its weights: its noise points and its size."""
    with torch.device("meta"):
        return summarise(with_noise_points(models()[name].build(inputs, classes, batch_norm)), inputs, classes)


def noise_points(name: str, inputs: tuple[int, ...], classes: int, batch_norm: bool) -> tuple[Point, ...]:
    """The noise points of a model, in the order of their numbers."""
    return summary(name, inputs, classes, batch_norm).points
