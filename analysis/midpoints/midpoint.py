"""Midpoint noise level of a robustness curve: two estimates, an interval, and flags.

*Estimate of the paper* (Walking Noise v1, eq. 1 and 2; :mod:`analysis.midpoints.weighted_fit`): one logistic through
the mean accuracies over the repetitions, weighted by the inverse squares of their standard deviations. Its standard
error is that of the fit. With few repetitions this error is too small: an interval of 1.96 errors to both sides
contains the true midpoint in less than 95 % of studies.

*Estimate per repetition*: one logistic without weights through the curve of each repetition, and a t interval over the
logarithms of their midpoints. This interval contains the true midpoint in 95 % of studies.

Choices that the papers leave open:

- The noise is the logarithm of the level, ``x = log10(level)``. A level of 0 is ``x = -inf``, where the curve is a_max.
- The uncertainty of a level is the standard deviation of its repetitions, but at least the pooled standard deviation of
  the series: the root mean square over the levels, weighted by their degrees of freedom. A level with one run has the
  pooled standard deviation. Without this lower limit, levels at which all repetitions agree would dominate the fit or
  break it. Dead networks, for example, all have exactly chance accuracy. In a series without spread all levels have the
  same weight.
- The standard error of mu is computed from the size of these uncertainties (scipy's ``absolute_sigma=True``), not from
  the distances between means and curve. These distances are too small: the curve of each repetition is shifted as a
  whole, so that the mean of the curves is smooth, too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from scipy import stats

from analysis.midpoints.flags import FEW_REPETITIONS, Flag
from analysis.midpoints.weighted_fit import PARAMETERS, Array, FitFailed, Logistic, fit_logistic

Axis = Literal["log", "linear"]

LEAST_FALL = 0.05
"""Smallest loss of accuracy that counts as a fall. A plateau closer than this to chance accuracy counts as chance."""

PLATEAU = 0.1
"""A curve is on a plateau where its distance from the plateau is less than this share of its fall."""

LARGEST_MISFIT = 0.1
"""Largest distance of a mean accuracy from the fitted curve without the flag :attr:`Flag.MISFIT`."""

CONFIDENCE = 0.95
"""Probability with which a t interval contains the true midpoint."""


@dataclass(frozen=True)
class RepetitionMidpoints:
    """Midpoints of the repetitions of a series, in units of the level.

    Attributes
    ----------
    mu
        Geometric mean of the midpoints (arithmetic mean on the linear axis); NaN without midpoints.
    low, high
        Ends of the 95 % t interval of ``mu``; NaN with fewer than two midpoints.
    outcomes
        Repetition name -> its midpoint if it lies within the sampled levels, otherwise the reason why it has none.
    """

    mu: float
    low: float
    high: float
    outcomes: Mapping[str, float | Flag]

    @property
    def midpoints(self) -> tuple[float, ...]:
        """Midpoints that lie within the sampled levels, at most one per repetition."""
        return tuple(outcome for outcome in self.outcomes.values() if not isinstance(outcome, Flag))

    @property
    def total(self) -> int:
        """Number of repetitions."""
        return len(self.outcomes)


@dataclass(frozen=True)
class MidpointFit:
    """Midpoint noise level of one robustness curve.

    Attributes
    ----------
    axis
        ``log`` if the curves are fitted over log10 of the level, ``linear`` if over the level itself.
    curve
        Weighted fit in units of the axis; None without a midpoint.
    misfit
        Largest distance of a mean accuracy from the curve; NaN without a curve.
    chance_accuracy
        Accuracy of a constant answer on the validation set.
    lowest, highest
        Lowest and highest sampled level above 0; inf and -inf if there is none.
    repetitions
        Midpoints of the fits per repetition.
    flags
        Reasons why the midpoint is missing or in doubt.
    """

    axis: Axis
    curve: Logistic | None
    misfit: float
    chance_accuracy: float
    lowest: float
    highest: float
    repetitions: RepetitionMidpoints
    flags: tuple[Flag, ...]

    @property
    def mu(self) -> float:
        """Midpoint noise level of the weighted fit, in units of the level; NaN without a curve."""
        return math.nan if self.curve is None else _level(self.curve.mu, self.axis)

    @property
    def mu_error(self) -> float:
        """Standard error of ``mu``; NaN without a curve.

        On the log axis it is ``ln(10) mu error(log10 mu)``, to first order.
        """
        if self.curve is None:
            return math.nan
        return self.curve.errors[0] * (math.log(10) * self.mu if self.axis == "log" else 1.0)

    @property
    def is_sound(self) -> bool:
        """Whether the midpoint has no flags except those for few repetitions."""
        return FEW_REPETITIONS.issuperset(self.flags)


def fit_midpoint(
    runs: pd.DataFrame, chance_accuracy: float, *, axis: Axis = "log", weighted: bool = True, absolute: bool = True
) -> MidpointFit:
    """Fit the midpoint noise level of a series.

    Parameters
    ----------
    runs
        A row per run, with the columns ``level`` (>= 0), ``repetition`` and ``accuracy`` (in [0, 1]).
    chance_accuracy
        Accuracy of a constant answer on the validation set, in [0, 1].
    axis, weighted, absolute
        Choices explained in the docstring of this module. Other values show how the midpoint depends on them.
    """
    level, mean, error = mean_curve(runs)
    result = _fit(level, mean, error if weighted else None, chance_accuracy, axis, absolute)
    repetitions = _fit_repetitions(runs, chance_accuracy, axis)
    if isinstance(result, Flag):
        curve, misfit, flags = None, math.nan, [result]
    else:
        curve, misfit = result, float(np.abs(mean - result(axis_values(level, axis))).max())
        flags = _midpoint_flags(result, level, misfit, chance_accuracy, axis)
        if len(repetitions.midpoints) < repetitions.total:
            flags.append(Flag.REPETITION_WITHOUT_MIDPOINT)
    few = {1: [Flag.ONE_REPETITION], 2: [Flag.TWO_REPETITIONS]}.get(repetitions.total, [])
    sampled = level[level > 0]
    lowest, highest = float(sampled.min(initial=math.inf)), float(sampled.max(initial=-math.inf))
    return MidpointFit(axis, curve, misfit, chance_accuracy, lowest, highest, repetitions, (*flags, *few))


def _fit(
    level: Array, accuracy: Array, error: Array | None, chance_accuracy: float, axis: Axis, absolute: bool = True
) -> Logistic | Flag:
    """Logistic through one curve, or the reason why there is none. ``level`` is sorted in ascending order."""
    if len(level) == 0:
        return Flag.NO_COMPLETED_RUNS
    if len(level) <= PARAMETERS:
        return Flag.TOO_FEW_LEVELS
    if accuracy.max() < chance_accuracy + LEAST_FALL:
        return Flag.ALWAYS_AT_FLOOR
    if (np.maximum.accumulate(accuracy) - accuracy).max() < LEAST_FALL:
        return Flag.NEVER_FALLS
    try:
        curve = fit_logistic(axis_values(level, axis), accuracy, error, absolute=absolute)
    except FitFailed:
        return Flag.FIT_FAILED
    return curve if curve.a_max > curve.a_min else Flag.FIT_FAILED


def _fit_repetitions(runs: pd.DataFrame, chance_accuracy: float, axis: Axis) -> RepetitionMidpoints:
    fits = {
        str(name): _repetition_midpoint(runs_of_one, chance_accuracy, axis)
        for name, runs_of_one in runs.sort_values("level").groupby("repetition", sort=True)
    }
    mu, low, high = (
        _level(noise, axis) for noise in t_interval([each for each in fits.values() if not isinstance(each, Flag)])
    )
    outcomes = {name: each if isinstance(each, Flag) else _level(each, axis) for name, each in fits.items()}
    return RepetitionMidpoints(mu, low, high, outcomes)


def _repetition_midpoint(runs: pd.DataFrame, chance_accuracy: float, axis: Axis) -> float | Flag:
    """Midpoint of one repetition in units of the axis, or the reason why none lies within the sampled levels."""
    level = runs["level"].to_numpy(float)
    curve = _fit(level, runs["accuracy"].to_numpy(float), None, chance_accuracy, axis)
    if isinstance(curve, Flag):
        return curve
    return _range_flag(curve, level, axis) or curve.mu


def t_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean of some values and the ends of its 95 % t interval; NaN where there are too few values."""
    n = len(values)
    mean = float(np.mean(values)) if n else math.nan
    if n < 2:
        return mean, math.nan, math.nan
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, n - 1) * np.std(values, ddof=1) / math.sqrt(n))
    return mean, mean - half, mean + half


def mean_curve(runs: pd.DataFrame) -> tuple[Array, Array, Array | None]:
    """Levels, their mean accuracies, and the uncertainties that weight the fit; None for equal weights."""
    levels = runs.groupby("level")["accuracy"].agg(n="size", mean="mean", std="std").reset_index()
    return levels["level"].to_numpy(float), levels["mean"].to_numpy(float), _uncertainties(levels)


def _uncertainties(levels: pd.DataFrame) -> Array | None:
    """Standard deviation at each level, at least the pooled one of the series; None if all are 0."""
    std, freedom = levels["std"].fillna(0.0).to_numpy(float), levels["n"].to_numpy(float) - 1
    pooled = math.sqrt(float(freedom @ std**2) / max(freedom.sum(), 1.0))
    return np.maximum(std, pooled) if pooled > 0 else None


def _midpoint_flags(curve: Logistic, level: Array, misfit: float, chance_accuracy: float, axis: Axis) -> list[Flag]:
    height = (curve(axis_values(level, axis)) - curve.a_min) / (curve.a_max - curve.a_min)
    out_of_range = _range_flag(curve, level, axis)
    flags = [] if out_of_range is None else [out_of_range]
    if out_of_range is None and not (height[0] > 1 - PLATEAU and height[-1] < PLATEAU):
        flags.append(Flag.PLATEAU_UNSAMPLED)
    if curve.a_min > chance_accuracy + LEAST_FALL:
        flags.append(Flag.PARTIAL_FALL)
    if out_of_range is None and not ((height > PLATEAU / 2) & (height < 1 - PLATEAU / 2)).any():
        flags.append(Flag.NO_LEVEL_ON_SLOPE)
    if misfit > LARGEST_MISFIT:
        flags.append(Flag.MISFIT)
    return flags


def _range_flag(curve: Logistic, level: Array, axis: Axis) -> Flag | None:
    sampled, mu = level[level > 0], _level(curve.mu, axis)
    if mu < sampled.min():
        return Flag.BELOW_RANGE
    return Flag.ABOVE_RANGE if mu > sampled.max() else None


def axis_values(level: Array, axis: Axis = "log") -> Array:
    """Convert levels to units of the axis."""
    with np.errstate(divide="ignore"):
        return np.log10(level) if axis == "log" else level


def _level(noise: float, axis: Axis) -> float:
    """Convert a value in units of the axis to a level."""
    return 10.0**noise if axis == "log" else noise
