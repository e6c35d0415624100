"""Shape of a robustness curve: one fall, or two stacked logistics with a plateau (Walking Noise v1, figure 7).

Two stacked logistics fall from a_max to a_mid and, after this upper step, from a_mid to a_min. With
``s(t) = 1 / (1 + exp(-t))``,

    y = a_min + (a_max - a_mid) s((mu_1 - x) / sigma_1) + (a_mid - a_min) s((mu_2 - x) / sigma_2)

The fit is restricted: each step has at least a tenth of the fall, and mu_2 - mu_1 is at least three times
sigma_1 + sigma_2. A curve has a plateau if all of the following hold.

1. No single fall follows the curve: the best one (:mod:`analysis.midpoints.curves.single_fall`) misses a mean accuracy
   by at least :data:`LEAST_MISFIT` of the fall. Otherwise two stacked logistics are not fitted.
2. The best two stacked logistics do not lie on the border of a restriction. On the border the second logistic only
   bends the flank of the first one. Both midpoints lie within the sampled levels, with a sampled level between them.
3. Two stacked logistics follow the curve better than a single fall does, and not by chance. With the sums of squares
   S_1 of the single fall and S_2 of the two logistics, both weighted by the number of repetitions, and the variance v
   of an accuracy, ``F = (S_1 - S_2) / (2 v)`` exceeds the 1 - :data:`LARGEST_P` quantile of the F distribution with 2
   and d degrees of freedom.

v is the variance of the accuracies around the two logistics: S_2 and the squared distances of the repetitions from
their mean, without the part that a shift of each repetition along the curve explains (the projection on the slope of
the curve), divided by d. With N accuracies of R repetitions, d = N - 7 - (R - 1). v is at least the binomial variance
of an accuracy with 1 / :data:`RESOLUTION` samples. Curves with fewer than eight levels are not compared.

Error rates (``python -m tests.coverage.plateaus``; 400 simulated studies in each number; three repetitions with shifts
of 0.03 decades and a scatter of 0.01, levels over four decades):

- Two equal steps one decade apart, sigma 0.1: 0 % missed at 9, 13, 17 and 41 levels.
- One fall (logistic, also to a remainder of 40 %; Gompertz and mirrored Gompertz; 10 to 90 % within 0.2 to 2.2
  decades), and real curves of one fall: 0 % flagged at all numbers of levels.
- Missed at 9 levels, half a decade apart: 2 % if the upper step has 30 % of the fall and 20 % if it has 80 %; 8 % with
  a scatter of 0.03; 39 % if the steps are 0.7 decades apart. At 13 levels or more: 0 %. With shifts of 0.1 decades: at
  most 1 % at all numbers of levels.
- One repetition: v comes from S_2 only, which has two degrees of freedom at 9 levels. 98 % are missed there, and 0 % at
  13 levels or more. Two repetitions: 0.2 % are missed at 9 levels.
- A straight line over log10(level) with sharp corners has nearly the same accuracies as two steps if the levels are far
  apart. No real curve had this form. It is flagged: over one decade in 9, 91, 89 and 0 % of studies at 9,
  13, 17 and 41 levels, over two decades in 78, 2, 0 and 0 %.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats
from scipy.special import expit, logit

from analysis.midpoints.curves.single_fall import fit_shape, fit_single_fall, heights
from analysis.midpoints.curves.weighted_fit import Array, Logistic, fit_heights, sampled_range

PARAMETERS = 7

LEAST_MISFIT = 0.025
"""Smallest distance of a mean accuracy from the best single fall, as a share of the fall, that counts as misfit."""

LARGEST_P = 1e-3
"""Largest probability that a single fall has the F of a curve with a plateau."""

RESOLUTION = 1e-4
"""Smallest difference of accuracies that is resolved: one of 10,000 validation samples."""

_LEAST_STEP = 0.1
_LEAST_DISTANCE = 3.0
_BORDER = 1e-3
_STARTS = 2
_MIDPOINTS = 20
_WIDEST_START, _NARROWEST_START = 1 / 10, 1 / 150


@dataclass(frozen=True)
class StackedLogistics:
    """Two stacked logistics: seven parameters, and the standard errors ``errors`` of both midpoints.

    An error is inf if the levels do not determine it.
    """

    mu_1: float
    sigma_1: float
    mu_2: float
    sigma_2: float
    a_min: float
    a_mid: float
    a_max: float
    errors: tuple[float, float]

    def __call__(self, x: Array) -> Array:
        upper, lower = expit((self.mu_1 - x) / self.sigma_1), expit((self.mu_2 - x) / self.sigma_2)
        return self.a_min + (self.a_mid - self.a_min) * lower + (self.a_max - self.a_mid) * upper

    def slope(self, x: Array) -> Array:
        """Derivative at ``x``."""
        upper, lower = expit((self.mu_1 - x) / self.sigma_1), expit((self.mu_2 - x) / self.sigma_2)
        by_upper = (self.a_max - self.a_mid) * upper * (1 - upper) / self.sigma_1
        return -by_upper - (self.a_mid - self.a_min) * lower * (1 - lower) / self.sigma_2

    @property
    def is_at_border(self) -> bool:
        """Whether the distance of the steps or the size of a step is the smallest one that the fit allows."""
        distance = (self.mu_2 - self.mu_1) / (self.sigma_1 + self.sigma_2)
        share = (self.a_max - self.a_mid) / (self.a_max - self.a_min)
        return distance < _LEAST_DISTANCE + _BORDER or min(share, 1 - share) < _LEAST_STEP + _BORDER


@dataclass(frozen=True)
class Shape:
    """Shape of a robustness curve.

    Attributes
    ----------
    one
        One logistic, the fit of the paper.
    misfit
        Largest distance of a mean accuracy from the best single fall, as a share of the fall; NaN with at most
        :data:`PARAMETERS` levels.
    two
        Two stacked logistics; None if ``misfit`` is less than :data:`LEAST_MISFIT` or NaN.
    p
        Probability of the F of ``two`` under a single fall; NaN without ``two``.
    levels_between
        Number of sampled levels between the midpoints of ``two``; 0 if one of them lies outside the sampled levels.
    """

    one: Logistic
    misfit: float
    two: StackedLogistics | None = None
    p: float = math.nan
    levels_between: int = 0

    @property
    def has_plateau(self) -> bool:
        """Whether the curve falls in two steps."""
        return self.two is not None and not self.two.is_at_border and self.levels_between > 0 and self.p < LARGEST_P


def compare_shapes(one: Logistic, x: Array, accuracies: Array) -> Shape:
    """Compare a single fall with two stacked logistics.

    Parameters
    ----------
    one
        The fit of the paper to this curve.
    x : (levels,)
        Noise in ascending order. At least two values are finite; the first may be ``-inf`` (no noise).
    accuracies : (repetitions, levels)
        Accuracies in [0, 1]; NaN where a repetition lacks a level. Each level has at least one.
    """
    number = np.isfinite(accuracies).sum(axis=0).astype(float)
    mean = np.nansum(accuracies, axis=0) / number
    if len(x) <= PARAMETERS:
        return Shape(one, math.nan)
    single, squares_one = fit_single_fall(x, mean, number)
    misfit = float(np.abs(mean - single).max() / max(np.ptp(single), RESOLUTION))
    freedom = number.sum() - PARAMETERS - (len(accuracies) - 1)
    if misfit < LEAST_MISFIT or freedom < 1:
        return Shape(one, misfit)
    two, squares_two = fit_stacked(x, mean, number)
    within, error_of_shift = _scatter(accuracies - mean, two.slope(x))
    variance = max((squares_two + within) / freedom, RESOLUTION * float((mean * (1 - mean)).mean()))
    p = float(stats.f.sf((squares_one - squares_two) / 2 / variance, 2, freedom))
    upper_error, lower_error = (math.hypot(math.sqrt(variance) * error, error_of_shift) for error in two.errors)
    low, high, _ = sampled_range(x)
    between = int(((two.mu_1 < x) & (x < two.mu_2)).sum()) if low <= two.mu_1 and two.mu_2 <= high else 0
    return Shape(one, misfit, replace(two, errors=(upper_error, lower_error)), p, between)


def _scatter(deviations: Array, slope: Array) -> tuple[float, float]:
    """Sum of squares of the repetitions around their mean without their shifts, and the standard error of the shift."""
    sampled = np.isfinite(deviations)
    deviations, slopes = np.where(sampled, deviations, 0.0), np.where(sampled, slope, 0.0)
    shifts = -(deviations * slopes).sum(axis=1) / np.maximum((slopes**2).sum(axis=1), RESOLUTION)
    error = float(shifts.std(ddof=1)) / math.sqrt(len(shifts)) if len(shifts) > 1 else 0.0
    return float(((deviations + shifts[:, None] * slopes) ** 2).sum()), error


def fit_stacked(x: Array, y: Array, weight: Array) -> tuple[StackedLogistics, float]:
    """Fit two stacked logistics by weighted least squares.

    Arguments are those of :func:`analysis.midpoints.curves.single_fall.fit_single_fall`. Returns the fit and its
    weighted sum of squares. The errors of the midpoints hold for accuracies with variance 1 / ``weight``.
    """
    low, high, narrowest = sampled_range(x)
    widest, largest = (high - low) / _LEAST_DISTANCE, math.log(4 * (high - low))

    def unpack(parameters: Iterable[float]) -> tuple[float, float, float, float, float]:
        """mu_1, sigma_1, mu_2, sigma_2 and the share of the upper step in the fall."""
        mu_1, log_1, log_2, log_extra, logit_share = parameters
        sigma_1, sigma_2, extra = (math.exp(min(each, largest)) for each in (log_1, log_2, log_extra))
        sigma_1, sigma_2 = min(narrowest + sigma_1, widest), min(narrowest + sigma_2, widest)
        mu_2 = mu_1 + _LEAST_DISTANCE * (sigma_1 + sigma_2) + extra
        return mu_1, sigma_1, mu_2, sigma_2, _LEAST_STEP + (1 - 2 * _LEAST_STEP) * float(expit(logit_share))

    def share_left(noise: Array, *parameters: float) -> Array:
        mu_1, sigma_1, mu_2, sigma_2, share = unpack(parameters)
        left: Array = share * expit((mu_1 - noise) / sigma_1) + (1 - share) * expit((mu_2 - noise) / sigma_2)
        return left

    starts = [_pack(start, narrowest) for start in _starts(x, y, 1 / np.sqrt(weight))]
    parameters, squares, covariance = fit_shape(share_left, x, y, weight, starts)
    mu_1, sigma_1, mu_2, sigma_2, share = unpack(map(float, parameters))
    a_min, a_max = heights(share_left(x, *parameters), y, weight)
    errors = (math.inf, math.inf)
    if covariance is not None:
        of_mu_2 = np.array([1.0, _LEAST_DISTANCE, _LEAST_DISTANCE, 1.0, 0.0]) * [
            1.0,
            *np.exp(np.minimum(parameters[1:4], largest)),
            0.0,
        ]
        errors = math.sqrt(covariance[0, 0]), math.sqrt(max(of_mu_2 @ covariance @ of_mu_2, 0.0))
    a_mid = a_max - share * (a_max - a_min)
    return StackedLogistics(mu_1, sigma_1, mu_2, sigma_2, a_min, a_mid, a_max, errors), squares


def _pack(start: Array, narrowest: float) -> Array:
    """Parameters of the fit: mu_1, logarithms of the excess of the sigmas and of the distance, logit of the share."""
    mu_1, sigma_1, sigma_2, extra, share = start
    excess = np.log(np.maximum([sigma_1 - narrowest, sigma_2 - narrowest, extra], narrowest))
    within = (np.clip(share, _LEAST_STEP + 0.02, 1 - _LEAST_STEP - 0.02) - _LEAST_STEP) / (1 - 2 * _LEAST_STEP)
    return np.array([mu_1, *excess, logit(within)])


def _starts(x: Array, y: Array, error: Array | None) -> list[Array]:
    """Best (mu_1, sigma_1, sigma_2, extra, share) of a grid, each with another pair of sigmas.

    ``extra`` is the excess of mu_2 - mu_1 over its smallest value; ``share`` is the share of the upper step.
    """
    low, high, narrowest = sampled_range(x)
    span = high - low
    mus = np.unique([low, *_midpoints(x, y), high])
    sigmas = np.geomspace(max(4 * narrowest, span * _NARROWEST_START), span * _WIDEST_START, 3)
    first, second = np.triu_indices(len(mus), 1)
    starts, costs = [], []
    for sigma_1 in sigmas:
        for sigma_2 in sigmas:
            apart = mus[second] - mus[first] >= _LEAST_DISTANCE * (sigma_1 + sigma_2)
            mu_1, mu_2 = mus[first[apart]], mus[second[apart]]
            if len(mu_1) == 0:
                continue
            steps = np.stack([expit((mu_1[:, None] - x) / sigma_1), expit((mu_2[:, None] - x) / sigma_2)], axis=1)
            steps_heights, cost = fit_heights(steps, y, error)
            best = int(np.argmin(cost))
            _, upper, lower = steps_heights[best]
            extra = mu_2[best] - mu_1[best] - _LEAST_DISTANCE * (sigma_1 + sigma_2)
            starts.append([mu_1[best], sigma_1, sigma_2, extra, upper / ((upper + lower) or 1.0)])
            costs.append(cost[best])
    return [np.array(starts[number]) for number in np.argsort(costs)[:_STARTS]]


def _midpoints(x: Array, y: Array) -> Array:
    """Noise values between which a curve falls by equal shares of its whole fall."""
    order = np.argsort(x)
    sampled = order[np.isfinite(x[order])]
    lowest = np.minimum.accumulate(y[sampled])
    fallen = (np.arange(_MIDPOINTS) + 0.5) / _MIDPOINTS * (lowest[0] - lowest[-1])
    places: Array = np.interp(fallen, lowest[0] - lowest, x[sampled])
    return places
