"""The midpoint noise level of a robustness curve, with its interval, and what speaks against it.

Two estimates stand side by side.

*The paper's* (Walking Noise v1, eq. 1 and 2): one logistic through the means over the repetitions, weighted by their
standard deviations. Its standard error is that of the fit, and with few repetitions covers the truth too seldom.

*Per repetition*: a logistic through each repetition's own curve, without weights, and a t interval over the logarithms
of their midpoints. This interval covers 95 %.

Our choices, where the papers are silent:

- The noise is the logarithm of the level, ``x = log10(level)``; no noise is ``x = -inf``, a point for a_max.
- A level's uncertainty is the standard deviation of its repetitions, but not less than the pooled one of the series
  (root mean square over the levels, by degrees of freedom), which also stands in for levels run once. Without such a
  floor, levels where all repetitions happen to agree, as dead networks do at exactly chance, decide the fit or break
  it. Where the whole series has no spread, all levels weigh the same.
- These uncertainties are accuracies and decide the error of mu by their size (scipy's ``absolute_sigma=True``). The
  scatter around the curve says too little: the repetitions' curves are shifted as a whole, and their mean is smooth.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from scipy import stats

from analysis.flags import FEW_REPETITIONS, Flag
from analysis.logistic import PARAMETERS, Array, FitFailed, Logistic, fit_logistic

Axis = Literal["log", "linear"]

LEAST_FALL = 0.05
"""A smaller loss of accuracy is none, and a curve ending closer to the floor has reached it."""

PLATEAU = 0.1
"""Share of the fall within which a curve has reached its plateau."""

LARGEST_MISFIT = 0.1
"""A mean accuracy further off the curve shows that the curve has another shape."""

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Repetitions:
    """The midpoints of a series' repetitions, in units of the level, with their t interval.

    ``mu`` is their geometric mean (on the linear axis the arithmetic one), ``low`` and ``high`` are the ends of its
    95 % interval, NaN for less than two midpoints. ``midpoints`` are those within the sampled levels, one for each
    repetition that has one, out of ``total`` repetitions.
    """

    mu: float
    low: float
    high: float
    midpoints: tuple[float, ...]
    total: int


@dataclass(frozen=True)
class MidpointFit:
    """The midpoint noise level of one robustness curve.

    Attributes
    ----------
    axis
        Whether the fits saw log10 of the level or the level itself.
    curve
        The weighted fit, in units of the axis; None without a midpoint.
    misfit
        Largest distance of a mean accuracy to the curve; NaN without one.
    floor
        Accuracy of a constant answer on the validation set.
    lowest, highest
        The sampled levels, without level 0; inf and -inf without any.
    repetitions
        The fit per repetition.
    flags
        What speaks against the midpoint, or why there is none.
    """

    axis: Axis
    curve: Logistic | None
    misfit: float
    floor: float
    lowest: float
    highest: float
    repetitions: Repetitions
    flags: tuple[Flag, ...]

    @property
    def mu(self) -> float:
        """Midpoint noise level of the weighted fit, in units of the level; NaN without one."""
        return math.nan if self.curve is None else _level(self.curve.mu, self.axis)

    @property
    def mu_error(self) -> float:
        """Standard error of ``mu``; on the log axis to first order a log-normal's, ``ln(10) mu error(log10 mu)``."""
        if self.curve is None:
            return math.nan
        return self.curve.errors[0] * (math.log(10) * self.mu if self.axis == "log" else 1.0)

    @property
    def is_sound(self) -> bool:
        """Whether nothing but a small number of repetitions speaks against the midpoint."""
        return FEW_REPETITIONS.issuperset(self.flags)


def fit_midpoint(
    runs: pd.DataFrame, floor: float, *, axis: Axis = "log", weighted: bool = True, absolute: bool = True
) -> MidpointFit:
    """The midpoint noise level of a series.

    Parameters
    ----------
    runs
        A row per run, with the columns ``level`` (>= 0), ``repetition`` and ``accuracy`` (in [0, 1]).
    floor
        Accuracy of a constant answer on the validation set, in [0, 1].
    axis, weighted, absolute
        Our choices (see the module); others show how much depends on them.
    """
    levels = runs.groupby("level")["accuracy"].agg(n="size", mean="mean", std="std").reset_index()
    level, mean = levels["level"].to_numpy(float), levels["mean"].to_numpy(float)
    fitted = _fit(level, mean, _uncertainties(levels) if weighted else None, floor, axis, absolute)
    repetitions = _fit_repetitions(runs, floor, axis)
    if isinstance(fitted, Flag):
        curve, misfit, flags = None, math.nan, [fitted]
    else:
        curve, misfit = fitted, float(np.abs(mean - fitted(_noise(level, axis))).max())
        flags = _doubts(fitted, level, misfit, floor, axis)
        if len(repetitions.midpoints) < repetitions.total:
            flags.append(Flag.REPETITION_WITHOUT_MIDPOINT)
    few = {1: [Flag.ONE_REPETITION], 2: [Flag.TWO_REPETITIONS]}.get(repetitions.total, [])
    sampled = level[level > 0]
    lowest, highest = float(sampled.min(initial=math.inf)), float(sampled.max(initial=-math.inf))
    return MidpointFit(axis, curve, misfit, floor, lowest, highest, repetitions, (*flags, *few))


def _fit(
    level: Array, accuracy: Array, error: Array | None, floor: float, axis: Axis, absolute: bool = True
) -> Logistic | Flag:
    """The logistic through one curve, or why there is none. Levels rise."""
    if len(level) <= PARAMETERS:
        return Flag.TOO_FEW_LEVELS
    if accuracy.max() < floor + LEAST_FALL:
        return Flag.ALWAYS_AT_FLOOR
    if (np.maximum.accumulate(accuracy) - accuracy).max() < LEAST_FALL:
        return Flag.NEVER_FALLS
    try:
        curve = fit_logistic(_noise(level, axis), accuracy, error, absolute=absolute)
    except FitFailed:
        return Flag.FIT_FAILED
    return curve if curve.a_max > curve.a_min else Flag.FIT_FAILED


def _fit_repetitions(runs: pd.DataFrame, floor: float, axis: Axis) -> Repetitions:
    midpoints = []
    total = 0
    for _, runs_of_one in runs.sort_values("level").groupby("repetition", sort=True):
        total += 1
        level = runs_of_one["level"].to_numpy(float)
        curve = _fit(level, runs_of_one["accuracy"].to_numpy(float), None, floor, axis)
        if isinstance(curve, Logistic) and _outside(curve, level, axis) is None:
            midpoints.append(curve.mu)
    mean = float(np.mean(midpoints)) if midpoints else math.nan
    half = _half_width(midpoints)
    mu, low, high, *each = (_level(value, axis) for value in (mean, mean - half, mean + half, *midpoints))
    return Repetitions(mu, low, high, tuple(each), total)


def _half_width(values: list[float]) -> float:
    """Of the t interval around their mean; NaN for less than two."""
    n = len(values)
    if n < 2:
        return math.nan
    return float(stats.t.ppf((1 + CONFIDENCE) / 2, n - 1) * np.std(values, ddof=1) / math.sqrt(n))


def _uncertainties(levels: pd.DataFrame) -> Array | None:
    """Of the mean accuracies: the repetitions' standard deviation, not less than the pooled one; None without any."""
    std, freedom = levels["std"].fillna(0.0).to_numpy(float), levels["n"].to_numpy(float) - 1
    pooled = math.sqrt(float(freedom @ std**2) / max(freedom.sum(), 1.0))
    return np.maximum(std, pooled) if pooled > 0 else None


def _doubts(curve: Logistic, level: Array, misfit: float, floor: float, axis: Axis) -> list[Flag]:
    left = (curve(_noise(level, axis)) - curve.a_min) / (curve.a_max - curve.a_min)
    outside = _outside(curve, level, axis)
    doubts = [] if outside is None else [outside]
    if outside is None and not (left[0] > 1 - PLATEAU and left[-1] < PLATEAU):
        doubts.append(Flag.PLATEAU_UNSAMPLED)
    if curve.a_min > floor + LEAST_FALL:
        doubts.append(Flag.PARTIAL_FALL)
    if outside is None and not ((left > PLATEAU / 2) & (left < 1 - PLATEAU / 2)).any():
        doubts.append(Flag.NO_LEVEL_ON_SLOPE)
    if misfit > LARGEST_MISFIT:
        doubts.append(Flag.MISFIT)
    return doubts


def _outside(curve: Logistic, level: Array, axis: Axis) -> Flag | None:
    sampled, mu = level[level > 0], _level(curve.mu, axis)
    if mu < sampled.min():
        return Flag.BELOW_RANGE
    return Flag.ABOVE_RANGE if mu > sampled.max() else None


def _noise(level: Array, axis: Axis) -> Array:
    """Levels in units of the axis."""
    with np.errstate(divide="ignore"):
        return np.log10(level) if axis == "log" else level


def _level(noise: float, axis: Axis) -> float:
    """The level for a value in units of the axis."""
    return 10.0**noise if axis == "log" else noise
