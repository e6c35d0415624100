"""Simulated studies: accuracies of repetitions whose true midpoints are known.

A study has eleven series, as a walk over the points of the MLP with BatchNorm. The curves of the repetitions of a
series are one shape, shifted along the logarithm of the level. The standard deviation of the shifts differs between
series by a log-normal factor. Each accuracy has an error of its own, as independently trained networks have.

The shapes are a logistic and a Gompertz curve, and real curves: the accuracy of 30 networks under additive noise at
inference only, at 97 levels (``real_curves.csv.gz``: MLP with BatchNorm, ``mnist5k``, 6 epochs, seeds 0 to 29). A real
study draws its seeds from these networks, so that its series share networks. Its true midpoints are the means over all
30 networks at all levels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.midpoints.curves.repetition_curve import RepetitionCurve
from analysis.midpoints.flags import Flag

Array = NDArray[np.float64]
Shape = Callable[[Array], Array]

SERIES = 11
DECADES = 4.0
A_MAX, CHANCE = 0.97, 0.1
BETWEEN, SPREAD = 0.03, 0.3
"""Typical standard deviation of the shifts in decades, and the standard deviation of its logarithm over the series."""

SCATTER = 0.01
"""Standard deviation of the error of each accuracy."""

REAL_CURVES = Path(__file__).with_name("real_curves.csv.gz")


def logistic(x: Array) -> Array:
    """Share that is left at distance ``x`` in decades from the midpoint; 10 to 90 % within 0.9 decades."""
    return np.asarray(1 / (1 + np.exp(x / 0.205)))


def gompertz(x: Array) -> Array:
    """Share that is left, falling slowly first and then fast; 10 to 90 % within 0.9 decades."""
    return np.asarray(np.exp(-math.log(2) * np.exp(x / 0.29)))


SHAPES: dict[str, Shape] = {"logistic": logistic, "Gompertz": gompertz}


@dataclass(frozen=True)
class Repetition:
    """Curve of one repetition, and its midpoint or the reason why it has none."""

    curve: RepetitionCurve
    chance_accuracy: float

    @property
    def midpoint(self) -> float | Flag:
        return self.curve.level_at(0.5, self.chance_accuracy)


@dataclass(frozen=True)
class SimulatedSeries:
    """Repetitions of a series and the true midpoint, as log10 of the level."""

    repetitions: list[Repetition]
    truth: float


def studies(
    shape: Shape, levels: int, repetitions: int, correlation: float, number: int, seed: int
) -> Iterator[list[SimulatedSeries]]:
    """Studies with curves of a shape. ``correlation`` is that of the shifts of two series in a repetition."""
    draw = np.random.default_rng(seed)
    for _ in range(number):
        deviations = BETWEEN * np.exp(SPREAD * draw.normal(size=SERIES))
        common = draw.normal(size=(repetitions, 1))
        own = draw.normal(size=(repetitions, SERIES))
        shifts = deviations * (math.sqrt(correlation) * common + math.sqrt(1 - correlation) * own)
        study = []
        for series in range(SERIES):
            x = _levels(levels, draw)
            accuracies = CHANCE + (A_MAX - CHANCE) * shape(x - shifts[:, [series]])
            accuracies += SCATTER * draw.normal(size=accuracies.shape)
            curves = [RepetitionCurve(10**x, each.clip(0, 1)) for each in accuracies]
            study.append(SimulatedSeries([Repetition(curve, CHANCE) for curve in curves], 0.0))
        yield study


def _levels(number: int, draw: np.random.Generator) -> Array:
    """log10 of levels over four decades around 0, with a random offset."""
    step = DECADES / (number - 1)
    return np.linspace(-DECADES / 2, DECADES / 2, number) + draw.uniform(-step / 2, step / 2)


@cache
def real_curves() -> tuple[Array, Array, float]:
    """log10 of the levels (levels,), accuracies (points, seeds, levels), and the chance accuracy."""
    table = pd.read_csv(REAL_CURVES)
    wide = table.pivot(index=["point", "seed"], columns="level", values="accuracy")
    points, seeds = (wide.index.get_level_values(name).nunique() for name in ("point", "seed"))
    x = np.log10(wide.columns.to_numpy(float))
    return x, wide.to_numpy(float).reshape(points, seeds, len(x)), float(table["chance"].iloc[0])


@cache
def real_midpoints() -> Array:
    """log10 of the midpoints of the real curves at all levels: (points, seeds)."""
    x, accuracies, chance = real_curves()
    curves = [[RepetitionCurve(10**x, each).level_at(0.5, chance) for each in point] for point in accuracies]
    return np.asarray(np.log10(np.array(curves, dtype=float)))


def real_studies(levels: int, repetitions: int, number: int, seed: int) -> Iterator[list[SimulatedSeries]]:
    """Studies of real curves: repetitions drawn from the trained networks, levels from the fine ones.

    The networks are drawn without replacement from a finite number of them, so that their mean is too close to that of
    all. The true midpoint is therefore moved away from the drawn mean by the usual finite population correction.
    """
    draw = np.random.default_rng(seed)
    x, accuracies, chance = real_curves()
    every = round(DECADES / (levels - 1) / float(np.diff(x).mean()))
    fine = real_midpoints()
    truth, share_left = fine.mean(axis=1), 1 - repetitions / fine.shape[1]
    for _ in range(number):
        seeds = draw.choice(accuracies.shape[1], repetitions, replace=False)
        study = []
        drawn = fine[:, seeds].mean(axis=1)
        for point, true in zip(accuracies, drawn - (drawn - truth) / math.sqrt(share_left), strict=True):
            chosen = slice(int(draw.integers(every)), None, every)
            curves = [RepetitionCurve(10 ** x[chosen], point[each, chosen]) for each in seeds]
            study.append(SimulatedSeries([Repetition(curve, chance) for curve in curves], float(true)))
        yield study
