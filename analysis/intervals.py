"""Estimates with 95 % intervals: t intervals, and moderated t intervals that pool the variance over a study's series.

An interval is for the mean over training seeds at a fixed test set. With three repetitions the t interval is wide,
since it estimates a variance from three numbers. The moderated t interval (Smyth 2004, the method of limma) assumes
that the variances of the series of a study are drawn from a scaled inverse chi-squared distribution. Its scale
``s0**2`` and its degrees of freedom ``d0`` are estimated from all series (Smyth 2004, section 6.2). The posterior
variance of a series with the variance ``s**2`` and ``d`` degrees of freedom is

    (d0 s0**2 + d s**2) / (d0 + d)

The interval uses the larger one of ``s**2`` and the posterior variance, and ``d0 + d`` degrees of freedom, so that a
series with a large variance keeps it; only the quantile of t is smaller.

Series that share trained networks are correlated, so that their variances contain less information. The degrees of
freedom are then at most those of the mean of ``m`` variances with ``d`` degrees of freedom whose series have the
correlation :data:`DESIGN_CORRELATION`, ``d / (rho**2 + (1 - rho**2) / m)``. ``make coverage`` measures the coverage.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import digamma, polygamma, stdtrit

Array = NDArray[np.float64]

CONFIDENCE = 0.95
"""Probability with which an interval contains the true value."""

LEAST_SERIES = 8
"""Smallest number of series whose variances are pooled."""

MOST_REPETITIONS = 5
"""Largest number of repetitions of a series whose variance is moderated. More repetitions need no help."""

LEAST_EXCESS = 1e-3
"""Smallest variance of the logarithms of the variances, beyond that of chance, that counts."""

DESIGN_CORRELATION = 0.3
"""Correlation between series that share networks, for which the moderated interval allows."""


class Method(StrEnum):
    """Method of an interval. The values are stored in CSV files."""

    NONE = ""
    T = "t"
    MODERATED = "moderated t"


@dataclass(frozen=True)
class Estimate:
    """A number with its interval.

    Attributes
    ----------
    value
        The number; NaN without one.
    low, high
        Ends of the 95 % interval, which contains ``value``; NaN without an interval.
    method
        Method of the interval.
    bound
        ``≥`` or ``≤`` if only a lower or an upper bound is known: ``value``. There is no interval then.
    """

    value: float
    low: float = math.nan
    high: float = math.nan
    method: Method = Method.NONE
    bound: str = ""

    @property
    def is_known(self) -> bool:
        """Whether the number is known, not only a bound."""
        return math.isfinite(self.value) and not self.bound


UNKNOWN = Estimate(math.nan)


@dataclass(frozen=True)
class VariancePrior:
    """Distribution of the variances between repetitions over the series of a study.

    Attributes
    ----------
    variance
        Its scale ``s0**2``.
    freedom
        Its degrees of freedom ``d0``; inf if the variances of the series differ no more than by chance.
    series
        Number of series.
    shares_networks
        Whether the series share trained networks.
    """

    variance: float
    freedom: float
    series: int
    shares_networks: bool

    def moderate(self, variance: float, freedom: int) -> tuple[float, float]:
        """Variance and degrees of freedom of the interval of a series with this variance between its repetitions."""
        total = self.freedom + freedom
        own = freedom / total
        posterior = (1 - own) * self.variance + own * variance
        correlation = DESIGN_CORRELATION if self.shares_networks else 0.0
        most = freedom / (correlation**2 + (1 - correlation**2) / self.series)
        return max(variance, posterior), min(total, most)


def t_interval(values: Sequence[float], prior: VariancePrior | None = None) -> tuple[float, float, float]:
    """Mean of some values and the ends of its 95 % interval; NaN where there are too few values.

    With ``prior`` the interval is the moderated one.
    """
    n = len(values)
    mean = float(np.mean(values)) if n else math.nan
    if n < 2:
        return mean, math.nan, math.nan
    variance, freedom = float(np.var(values, ddof=1)), float(n - 1)
    if prior is not None:
        variance, freedom = prior.moderate(variance, n - 1)
    half = float(stdtrit(freedom, (1 + CONFIDENCE) / 2)) * math.sqrt(variance / n)
    return mean, mean - half, mean + half


def mean_accuracy(values: Sequence[float]) -> Estimate:
    """Mean of some accuracies with its t interval, which is limited to [0, 1]."""
    mean, low, high = t_interval(values)
    return Estimate(mean, max(low, 0.0), min(high, 1.0), Method.T) if math.isfinite(low) else Estimate(mean)


def ratio_of_means(numerator: pd.Series[float], denominator: pd.Series[float]) -> Estimate:
    """Ratio of two means with its t interval, linear in the errors of both means.

    Both have one value per repetition, whose name is the index. If they have the same repetitions, the interval uses
    the differences within repetitions. Otherwise both are independent, and the degrees of freedom are those of Welch
    (1947). The interval is NaN if one of them has a single value.
    """
    ratio = float(numerator.mean() / denominator.mean())
    if set(numerator.index) == set(denominator.index):
        differences = numerator - ratio * denominator
        _, low, high = t_interval((differences / denominator.mean()).tolist())
        return Estimate(ratio, ratio + low, ratio + high, Method.T) if math.isfinite(low) else Estimate(ratio)
    sizes = np.array([len(numerator), len(denominator)])
    if sizes.min() < 2:
        return Estimate(ratio)
    variances = np.array([numerator.var(), ratio**2 * denominator.var()]) / sizes / denominator.mean() ** 2
    squares = float((variances**2 / (sizes - 1)).sum())
    freedom = float(variances.sum()) ** 2 / squares if squares else math.inf
    half = float(stdtrit(freedom, (1 + CONFIDENCE) / 2)) * math.sqrt(variances.sum())
    return Estimate(ratio, ratio - half, ratio + half, Method.T)


def fit_prior(samples: Sequence[Sequence[float]], *, shares_networks: bool) -> VariancePrior | None:
    """Prior of the variances of some series, by the method of moments of Smyth (2004, section 6.2).

    Parameters
    ----------
    samples
        For each series, one value per repetition. Series with fewer than two values or with more than
        :data:`MOST_REPETITIONS` are left out.
    shares_networks
        Whether the series share trained networks.

    Returns
    -------
    VariancePrior, optional
        None if fewer than :data:`LEAST_SERIES` series are left, or none of them has a variance above 0.
    """
    chosen = [values for values in samples if 2 <= len(values) <= MOST_REPETITIONS]
    variances = np.array([np.var(values, ddof=1) for values in chosen])
    if len(chosen) < LEAST_SERIES or not (variances > 0).any():
        return None
    freedoms = np.array([len(values) - 1 for values in chosen], dtype=float)
    scale, freedom = prior_of_variances(variances, freedoms, len(chosen))
    return VariancePrior(scale, freedom, len(chosen), shares_networks)


def prior_of_variances(variance: Array, freedom: Array, independent: int) -> tuple[float, float]:
    """Scale and degrees of freedom of the prior of some variances, by the method of moments (Smyth 2004, section 6.2).

    Parameters
    ----------
    variance, freedom : (variances,)
        The variances, not all of them 0, and their degrees of freedom.
    independent
        Number of independent quantities that the variances come from.
    """
    # A variance of 0 would have an infinite logarithm.
    variance = variance.clip(1e-5 * np.median(variance[variance > 0]))
    logs = np.log(variance) - digamma(freedom / 2) + np.log(freedom / 2)
    excess = float(logs.var() * independent / (independent - 1) - polygamma(1, freedom / 2).mean())
    if excess < LEAST_EXCESS:
        return math.exp(logs.mean()), math.inf
    half = 0.5 + 1 / excess
    for _ in range(10):  # Newton's method of Smyth's appendix
        trigamma = polygamma(1, half)
        half += trigamma * (1 - trigamma / excess) / polygamma(2, half)
    return float(np.exp(logs.mean() + digamma(half) - np.log(half))), 2 * float(half)
