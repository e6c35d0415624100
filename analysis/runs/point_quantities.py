"""Quantities of a run at each noise point: the signal that arrives there, and the weights of the layer before it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from analysis.runs.noise_kinds import additive_std


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
    """Mean absolute weight of the conv or linear layer that a point follows; NaN if it follows none."""
    weights = run["mean_abs_weight"] or {}
    value = weights.get(run["points"][point].layer)
    return math.nan if value is None else float(value)
