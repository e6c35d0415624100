"""Quantities of a run at each noise point: the signal that arrives there, and the weights of the layer before it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from typing import Any

import torch

from analysis.runs.noise_kinds import additive_std
from analysis.runs.series import Settings
from walking_noise import RunConfig, models
from walking_noise.models.noise_points import Point


def noise_points(settings: Settings) -> tuple[Point, ...]:
    """The noise points of a series' model."""
    return _config(settings["data.name"], settings["model.name"], settings["model.batch_norm"]).points


def noisy_points(settings: Settings) -> list[int]:
    """Numbers of the points where a series has noise: one point, or all points but noise-free BatchNorm points."""
    if isinstance(settings["noise.point"], int):
        return [settings["noise.point"]]
    points = noise_points(settings)
    return [point.number for point in points if settings["noise.on_batch_norm"] or not point.after_batch_norm]


@cache
def after_parameters(name: str, model: str, batch_norm: bool) -> frozenset[int]:
    """Numbers of the noise points that follow a layer with parameters: conv, linear or BatchNorm."""
    config = _config(name, model, batch_norm)
    with torch.device("meta"):
        layers = dict(models.build(model, config.data.shape, config.data.classes, batch_norm).named_children())
    return frozenset(
        point.number for point in config.points if point.name in layers and list(layers[point.name].parameters())
    )


def signal(run: Mapping[str, Any], point: int) -> float:
    """Standard deviation of the activations that arrive at a point at inference; NaN where it was not measured."""
    measured = run["signal"]
    value = measured[point] if measured else None
    return math.nan if value is None else float(value)


def signal_to_noise(run: Mapping[str, Any], point: int) -> float:
    """Ratio of the signal to the standard deviation of the additive noise at a point; NaN if either is missing."""
    noise = additive_std(run)
    return signal(run, point) / noise if noise > 0 else math.nan


def mean_abs_weight(run: Mapping[str, Any], point: int) -> float:
    """Mean absolute weight of the conv or linear layer that the point follows; NaN if it follows none."""
    weights = run["mean_abs_weight"] or {}
    value = weights.get(run["points"][point])
    return math.nan if value is None else float(value)


@cache
def _config(name: str, model: str, batch_norm: bool) -> RunConfig:
    return RunConfig.from_dict({"data.name": name, "model.name": model, "model.batch_norm": batch_norm})
