"""Midpoint of the paper: one logistic through the mean accuracies, weighted by the spread of the repetitions.

Walking Noise v1, eq. 1 and 2; :mod:`analysis.midpoints.curves.weighted_fit` is the fit. It marks half of the curve's
own fall.
Choices that the papers leave open:

- The noise is the logarithm of the level, ``x = log10(level)``. A level of 0 is ``x = -inf``, where the curve is a_max.
- The uncertainty of a level is the standard deviation of its repetitions, as in the paper, but at least the pooled
  standard deviation of the series: the root mean square over the levels, weighted by their degrees of freedom. A level
  with one run has the pooled standard deviation. Without this lower limit, levels at which all repetitions agree would
  dominate the fit or break it. Dead networks, for example, all have exactly chance accuracy. In a series without spread
  all levels have the same weight.
- The *standard error of the fit* is computed from the size of these uncertainties (scipy's ``absolute_sigma=True``).
  They are standard deviations of single runs, not of means: they are not divided by the square root of the number of
  repetitions. The error therefore does not shrink with the number of repetitions, and it is not a confidence interval:
  1.96 errors to both sides contain the true midpoint in 81 to 100 % of studies. Division by the square root would give
  55 to 78 %, since the curve of each repetition is shifted as a whole, which the fit cannot see.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from analysis.midpoints.curves.weighted_fit import PARAMETERS, Array, FitFailed, Logistic, fit_logistic

Axis = Literal["log", "linear"]

PLATEAU = 0.1
"""A curve is on a plateau where its distance from the plateau is less than this share of its fall."""

LARGEST_MISFIT = 0.1
"""Largest distance of a mean accuracy from the fitted curve that still counts as a logistic."""


@dataclass(frozen=True)
class WeightedMidpoint:
    """Midpoint of the weighted fit.

    Attributes
    ----------
    axis
        ``log`` if the curve is fitted over log10 of the level, ``linear`` if over the level itself.
    curve
        The logistic in units of the axis.
    misfit
        Largest distance of a mean accuracy from the curve.
    """

    axis: Axis
    curve: Logistic
    misfit: float

    @property
    def mu(self) -> float:
        """Midpoint in units of the level."""
        return 10.0**self.curve.mu if self.axis == "log" else self.curve.mu

    @property
    def error(self) -> float:
        """Standard error of the fit, in units of the level.

        On the log axis it is ``ln(10) mu error(log10 mu)``, to first order.
        """
        return self.curve.errors[0] * (math.log(10) * self.mu if self.axis == "log" else 1.0)

    def samples_plateaus(self, level: Array) -> bool:
        """Whether the lowest and the highest of these levels lie on the plateaus of the curve."""
        height = (self.curve(axis_values(level, self.axis)) - self.curve.a_min) / (self.curve.a_max - self.curve.a_min)
        return bool(height[0] > 1 - PLATEAU and height[-1] < PLATEAU)


def fit_mean_curve(
    runs: pd.DataFrame, *, axis: Axis = "log", weighted: bool = True, absolute: bool = True
) -> WeightedMidpoint | None:
    """Fit a logistic through the mean accuracies of a series; None without enough levels, or if the fit fails.

    Parameters
    ----------
    runs
        A row per run, with the columns ``level`` (>= 0) and ``accuracy`` (in [0, 1]).
    axis, weighted, absolute
        Choices explained in the docstring of this module. Other values show how the midpoint depends on them.
    """
    level, mean, error = mean_curve(runs)
    if len(level) <= PARAMETERS:
        return None
    x = axis_values(level, axis)
    try:
        curve = fit_logistic(x, mean, error if weighted else None, absolute=absolute)
    except FitFailed:
        return None
    return WeightedMidpoint(axis, curve, float(np.abs(mean - curve(x)).max())) if curve.a_max > curve.a_min else None


def mean_curve(runs: pd.DataFrame) -> tuple[Array, Array, Array | None]:
    """Levels, their mean accuracies, and the uncertainties that weight the fit; None for equal weights."""
    accuracy = runs["accuracy"].to_numpy(float)
    every: Array = runs["level"].to_numpy(float)
    level, first, place, n = np.unique(every, return_index=True, return_inverse=True, return_counts=True)
    # Differences from one of the accuracies: the mean of equal accuracies is exact, and their deviation is 0.
    difference = accuracy - accuracy[first][place]
    shift = np.bincount(place, difference, len(level)) / n
    squares = np.bincount(place, (difference - shift[place]) ** 2, len(level))
    return level, accuracy[first] + shift, _uncertainties(squares.astype(float), np.asarray(n - 1.0))


def axis_values(level: Array, axis: Axis = "log") -> Array:
    """Convert levels to units of the axis."""
    with np.errstate(divide="ignore"):
        return np.log10(level) if axis == "log" else level


def _uncertainties(squares: Array, freedom: Array) -> Array | None:
    """Standard deviation at each level, at least the pooled one of the series; None if all are 0.

    ``squares`` are the sums of squared deviations, ``freedom`` their degrees of freedom.
    """
    pooled = math.sqrt(float(squares.sum()) / max(float(freedom.sum()), 1.0))
    return np.maximum(np.sqrt(squares / np.maximum(freedom, 1)), pooled) if pooled > 0 else None
