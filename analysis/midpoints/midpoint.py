"""The midpoint noise level of a robustness curve, with its interval, and what speaks against it.

Two estimates stand side by side.

*The paper's* (Walking Noise v1, eq. 1 and 2): one logistic through the means over the repetitions, weighted by their
standard deviations. Its standard error is that of the fit. With few repetitions this error is too small: an interval
of 1.96 errors to both sides holds the true midpoint in less than 95 % of studies.

*Per repetition*: a logistic through each repetition's own curve, without weights, and a t interval over the logarithms
of their midpoints. This interval holds the true midpoint in 95 % of studies.

Our choices, where the papers are silent:

- The noise is the logarithm of the level, ``x = log10(level)``. A level of 0 is ``x = -inf``, where the curve is a_max.
- The uncertainty of a level is the standard deviation of its repetitions, but at least the pooled standard deviation of
  the series: the root mean square over the levels, weighted by their degrees of freedom. Levels with one run have the
  pooled one. Without this lower limit, levels where all repetitions agree would decide the fit or break it; dead
  networks, for example, all score exactly chance. In a series without any spread all levels weigh the same.
- The standard error of mu follows from the size of these uncertainties (scipy's ``absolute_sigma=True``), not from the
  distances between means and curve. Those are too small: the curves of the repetitions are shifted as a whole, so
  that their mean is a smooth curve too.
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
"""The least loss of accuracy that counts as a fall. A plateau closer than this to the floor counts as at the floor."""

PLATEAU = 0.1
"""A curve is on a plateau where less than this share of its fall separates them."""

LARGEST_MISFIT = 0.1
"""The largest distance of a mean accuracy from the fitted curve at which the curve still has the right shape."""

CONFIDENCE = 0.95
"""The t intervals hold the true midpoint with this probability."""


@dataclass(frozen=True)
class Repetitions:
    """The midpoints of the repetitions of a series, in units of the level.

    Attributes
    ----------
    mu
        Geometric mean of the midpoints (arithmetic mean on the linear axis); NaN without any.
    low, high
        Ends of the 95 % t interval of ``mu``; NaN with fewer than two midpoints.
    outcomes
        By the name of the repetition its midpoint, if it lies within the sampled levels, or why there is none.
    """

    mu: float
    low: float
    high: float
    outcomes: Mapping[str, float | Flag]

    @property
    def midpoints(self) -> tuple[float, ...]:
        """The midpoints that lie within the sampled levels, at most one per repetition."""
        return tuple(outcome for outcome in self.outcomes.values() if not isinstance(outcome, Flag))

    @property
    def total(self) -> int:
        """Number of repetitions."""
        return len(self.outcomes)


@dataclass(frozen=True)
class MidpointFit:
    """The midpoint noise level of one robustness curve.

    Attributes
    ----------
    axis
        ``log`` if the curves are fitted over log10 of the level, ``linear`` if over the level itself.
    curve
        The weighted fit, in units of the axis; None without a midpoint.
    misfit
        Largest distance of a mean accuracy from the curve; NaN without a curve.
    floor
        Accuracy of a constant answer on the validation set.
    lowest, highest
        The lowest and highest level above 0 that was sampled; inf and -inf if there is none.
    repetitions
        The midpoints of the fits per repetition.
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
        """Whether the midpoint has no flags, apart from those for few repetitions."""
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
        Our choices, explained above in this module. Other values show how much depends on them.
    """
    level, mean, error = mean_curve(runs)
    fitted = _fit(level, mean, error if weighted else None, floor, axis, absolute)
    repetitions = _fit_repetitions(runs, floor, axis)
    if isinstance(fitted, Flag):
        curve, misfit, flags = None, math.nan, [fitted]
    else:
        curve, misfit = fitted, float(np.abs(mean - fitted(noise_of(level, axis))).max())
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
    """The logistic through one curve, or why there is none. ``level`` rises."""
    if len(level) == 0:
        return Flag.NO_COMPLETED_RUNS
    if len(level) <= PARAMETERS:
        return Flag.TOO_FEW_LEVELS
    if accuracy.max() < floor + LEAST_FALL:
        return Flag.ALWAYS_AT_FLOOR
    if (np.maximum.accumulate(accuracy) - accuracy).max() < LEAST_FALL:
        return Flag.NEVER_FALLS
    try:
        curve = fit_logistic(noise_of(level, axis), accuracy, error, absolute=absolute)
    except FitFailed:
        return Flag.FIT_FAILED
    return curve if curve.a_max > curve.a_min else Flag.FIT_FAILED


def _fit_repetitions(runs: pd.DataFrame, floor: float, axis: Axis) -> Repetitions:
    found = {
        str(name): _midpoint_of_one(runs_of_one, floor, axis)
        for name, runs_of_one in runs.sort_values("level").groupby("repetition", sort=True)
    }
    mu, low, high = (
        _level(noise, axis) for noise in t_interval([each for each in found.values() if not isinstance(each, Flag)])
    )
    outcomes = {name: each if isinstance(each, Flag) else _level(each, axis) for name, each in found.items()}
    return Repetitions(mu, low, high, outcomes)


def _midpoint_of_one(runs: pd.DataFrame, floor: float, axis: Axis) -> float | Flag:
    """The midpoint of one repetition in units of the axis, or why there is none within the sampled levels."""
    level = runs["level"].to_numpy(float)
    curve = _fit(level, runs["accuracy"].to_numpy(float), None, floor, axis)
    if isinstance(curve, Flag):
        return curve
    return _outside(curve, level, axis) or curve.mu


def t_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """The mean of some values and the ends of its 95 % t interval; NaN where there are too few values."""
    n = len(values)
    mean = float(np.mean(values)) if n else math.nan
    if n < 2:
        return mean, math.nan, math.nan
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, n - 1) * np.std(values, ddof=1) / math.sqrt(n))
    return mean, mean - half, mean + half


def mean_curve(runs: pd.DataFrame) -> tuple[Array, Array, Array | None]:
    """The levels, the mean accuracies there, and what the fit weighs them by; None if all weigh the same."""
    levels = runs.groupby("level")["accuracy"].agg(n="size", mean="mean", std="std").reset_index()
    return levels["level"].to_numpy(float), levels["mean"].to_numpy(float), _uncertainties(levels)


def _uncertainties(levels: pd.DataFrame) -> Array | None:
    """The standard deviation at each level, at least the pooled one of the series; None if all are 0."""
    std, freedom = levels["std"].fillna(0.0).to_numpy(float), levels["n"].to_numpy(float) - 1
    pooled = math.sqrt(float(freedom @ std**2) / max(freedom.sum(), 1.0))
    return np.maximum(std, pooled) if pooled > 0 else None


def _doubts(curve: Logistic, level: Array, misfit: float, floor: float, axis: Axis) -> list[Flag]:
    left = (curve(noise_of(level, axis)) - curve.a_min) / (curve.a_max - curve.a_min)
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


def noise_of(level: Array, axis: Axis = "log") -> Array:
    """Levels in units of the axis."""
    with np.errstate(divide="ignore"):
        return np.log10(level) if axis == "log" else level


def _level(noise: float, axis: Axis) -> float:
    """Convert a value in units of the axis to a level."""
    return 10.0**noise if axis == "log" else noise
