"""Runs of a series whose accuracies follow known curves."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from analysis.midpoints.curves.weighted_fit import logistic

Array = NDArray[np.float64]
Accuracy = Callable[[Array, int], Array]
"""Accuracies at some levels in the repetition with a number."""

FLOOR = 0.1
LEVELS = (0.0, *np.logspace(-2, 2, 33))


def runs_of(accuracy: Accuracy, repetitions: int = 3, levels: ArrayLike = LEVELS) -> pd.DataFrame:
    """Runs whose accuracies are a function of the levels and the number of the repetition."""
    level = np.array(levels, dtype=float)
    return pd.concat([
        pd.DataFrame({"level": level, "repetition": str(number), "accuracy": accuracy(level, number)})
        for number in range(repetitions)
    ])  # fmt: skip


def curve(level: Array, mu: float, a_min: float = FLOOR, a_max: float = 0.95, sigma: float = 0.15) -> Array:
    """A logistic in the logarithm of the level."""
    with np.errstate(divide="ignore"):
        return logistic(np.log10(level), math.log10(mu), sigma, a_min, a_max)


def noisy(seed: int, mu: float = 2.0, between: float = 0.03, within: float = 0.005) -> Accuracy:
    """Repetitions whose midpoints scatter by ``between`` decades, and whose accuracies scatter by ``within``."""
    draw = np.random.default_rng(seed)

    def accuracy(level: Array, _: int) -> Array:
        shifted = curve(level, mu * 10 ** draw.normal(0, between))
        return np.asarray(np.clip(shifted + draw.normal(0, within, len(level)), 0, 1))

    return accuracy
