"""Shape of a robustness curve: one logistic, or two stacked logistics with a plateau (Walking Noise v1, figure 7).

Two stacked logistics fall from a_max to a_mid and, after this upper step, from a_mid to a_min. With
``s(t) = 1 / (1 + exp(-t))``,

    y = a_min + (a_max - a_mid) s((mu_1 - x) / sigma_1) + (a_mid - a_min) s((mu_2 - x) / sigma_2)

Three conditions define a plateau between the steps. Each step has at least a tenth of the fall. mu_2 - mu_1 is more
than three times sigma_1 + sigma_2. At least three sampled levels lie on the plateau, and both midpoints lie within the
sampled levels. The fit of two stacked logistics is restricted to the first two conditions. If the best fit lies on the
border of one of them, one logistic is chosen: no measured curve is exactly a logistic, and on the border the second
logistic only bends the flank of the first one. If the best fit does not meet the third condition, one logistic is also
chosen.

Otherwise the shape with the smaller corrected information criterion (AICc; Hurvich and Tsai 1989) is chosen. Its
likelihood assumes that the mean accuracies are normally distributed around the curve and independent. Their standard
deviations are proportional to the uncertainties that weight the fit. The common factor is unknown and takes its most
likely value. (The uncertainties themselves do not measure misfit, because the curve of each repetition is shifted as a
whole.) With n levels, k parameters of the curve, K = k + 1 and the weighted sum of squares S,

    AICc = n ln(S / n) + 2 K + 2 K (K + 1) / (n - K - 1)

The square of :data:`RESOLUTION` is added to each square in S, so that the logarithm is finite if a curve passes through
all points.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from analysis.midpoints.weighted_fit import Array, FitFailed, Logistic, fit_heights, least_squares, sampled_range

PARAMETERS = 7

RESOLUTION = 1e-4
"""Smallest difference of accuracies that is resolved: one of 10,000 validation samples."""

_LEAST_STEP = 0.1
_LEAST_DISTANCE = 3.0
_BORDER = 1e-3
_LEAST_SAMPLED = 3
_ON_PLATEAU = 0.1
_STARTS = 4
_MIDPOINTS = 20
_WIDEST_START, _NARROWEST_START = 1 / 10, 1 / 150
_TOLERANCE = 1e-8


@dataclass(frozen=True)
class StackedLogistics:
    """Two stacked logistics: seven parameters, and the standard errors ``errors`` of both midpoints."""

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

    @property
    def is_at_border(self) -> bool:
        """Whether the distance of the steps or the size of a step is the smallest one that the fit allows."""
        distance = (self.mu_2 - self.mu_1) / (self.sigma_1 + self.sigma_2)
        share = (self.a_max - self.a_mid) / (self.a_max - self.a_min)
        return distance < _LEAST_DISTANCE + _BORDER or min(share, 1 - share) < _LEAST_STEP + _BORDER

    def on_plateau(self, x: Array) -> NDArray[np.bool_]:
        """Which levels lie on the plateau: over 90 % of the upper and under 10 % of the lower step are done."""
        upper, lower = expit((self.mu_1 - x) / self.sigma_1), expit((self.mu_2 - x) / self.sigma_2)
        return (upper < _ON_PLATEAU) & (lower > 1 - _ON_PLATEAU)


@dataclass(frozen=True)
class Shape:
    """Shape of a robustness curve: both fits, and the choice between them.

    Attributes
    ----------
    one
        One logistic.
    two
        Two stacked logistics; None if there are too few levels for the criterion, or the fit does not converge.
    aicc_one, aicc_two
        Corrected information criterion of each fit; inf if it is undefined.
    levels_on_plateau
        Number of sampled levels on the plateau of ``two``; 0 if one of its midpoints lies outside the sampled levels.
    """

    one: Logistic
    two: StackedLogistics | None
    aicc_one: float
    aicc_two: float
    levels_on_plateau: int

    @property
    def has_plateau(self) -> bool:
        """Whether two stacked logistics are chosen."""
        if self.two is None or self.two.is_at_border or self.levels_on_plateau < _LEAST_SAMPLED:
            return False
        return self.aicc_two < self.aicc_one


def compare_shapes(one: Logistic, x: Array, y: Array, error: Array | None = None, *, absolute: bool = True) -> Shape:
    """Fit two stacked logistics to the points of the fit ``one``, with the same weights, and choose between both.

    ``x``, ``y``, ``error`` and ``absolute`` are the arguments of
    :func:`analysis.midpoints.weighted_fit.fit_logistic` that gave ``one``.
    """
    aicc_one = aicc(y - one(x), error, len(one.errors))
    if math.isinf(_penalty(len(x), PARAMETERS)):
        return Shape(one, None, aicc_one, math.inf, 0)
    try:
        two = fit_stacked(x, y, error, absolute=absolute)
    except FitFailed:
        return Shape(one, None, aicc_one, math.inf, 0)
    low, high, _ = sampled_range(x)
    levels_on_plateau = int(two.on_plateau(x).sum()) if low <= two.mu_1 and two.mu_2 <= high else 0
    return Shape(one, two, aicc_one, aicc(y - two(x), error, PARAMETERS), levels_on_plateau)


def aicc(residual: Array, error: Array | None, parameters: int) -> float:
    """Corrected information criterion of a curve with these residuals; inf with too few points."""
    points = len(residual)
    squares = (residual**2 + RESOLUTION**2) / (1.0 if error is None else error**2)
    return points * math.log(squares.sum() / points) + _penalty(points, parameters)


def _penalty(points: int, parameters: int) -> float:
    k = parameters + 1
    return 2 * k + 2 * k * (k + 1) / (points - k - 1) if points > k + 1 else math.inf


def fit_stacked(x: Array, y: Array, error: Array | None = None, *, absolute: bool = True) -> StackedLogistics:
    """Fit two stacked logistics by weighted least squares. Arguments and errors are those of ``fit_logistic``."""
    low, high, narrowest = sampled_range(x)
    span = high - low
    widest = span / _LEAST_DISTANCE
    bounds = (
        [low - span, narrowest, narrowest, 0.0, 0.0, 0.0, _LEAST_STEP],
        [high + span, widest, widest, 2 * span, 1.0, 1.0, 1 - _LEAST_STEP],
    )
    parameters, covariance = least_squares(
        _stacked, _jacobian, x, y, error, _starts(x, y, error), bounds, absolute=absolute, tolerance=_TOLERANCE
    )
    mu_1, sigma_1, sigma_2, extra, a_min, a_max, share = map(float, parameters)
    of_mu_2 = np.array([1.0, _LEAST_DISTANCE, _LEAST_DISTANCE, 1.0, 0.0, 0.0, 0.0])
    variances = max(covariance[0, 0], 0.0), max(of_mu_2 @ covariance @ of_mu_2, 0.0)
    mu_2 = mu_1 + _LEAST_DISTANCE * (sigma_1 + sigma_2) + extra
    a_mid = a_max - share * (a_max - a_min)
    return StackedLogistics(
        mu_1, sigma_1, mu_2, sigma_2, a_min, a_mid, a_max, (math.sqrt(variances[0]), math.sqrt(variances[1]))
    )


def _stacked(
    x: Array, mu: float, sigma_1: float, sigma_2: float, extra: float, a_min: float, a_max: float, share: float
) -> Array:
    """Two stacked logistics in the parameters of the fit.

    ``extra`` is the excess of mu_2 - mu_1 over its smallest value; ``share`` is the share of the upper step in the
    whole fall.
    """
    upper = expit((mu - x) / sigma_1)
    lower = expit((mu + _LEAST_DISTANCE * (sigma_1 + sigma_2) + extra - x) / sigma_2)
    return a_min + (a_max - a_min) * (share * upper + (1 - share) * lower)


def _jacobian(
    x: Array, mu: float, sigma_1: float, sigma_2: float, extra: float, a_min: float, a_max: float, share: float
) -> Array:
    """Derivatives of :func:`_stacked` with respect to its parameters: (points, 7)."""
    at_1, at_2 = (mu - x) / sigma_1, (mu + _LEAST_DISTANCE * (sigma_1 + sigma_2) + extra - x) / sigma_2
    upper, lower = expit(at_1), expit(at_2)
    fall = a_max - a_min
    by_1 = share * fall * upper * (1 - upper) / sigma_1
    by_2 = (1 - share) * fall * lower * (1 - lower) / sigma_2
    at_1, at_2 = np.where(np.isfinite(x), at_1, 0.0), np.where(np.isfinite(x), at_2, 0.0)
    form = share * upper + (1 - share) * lower
    return np.column_stack([
        by_1 + by_2, by_2 * _LEAST_DISTANCE - by_1 * at_1, by_2 * (_LEAST_DISTANCE - at_2), by_2, 1 - form, form,
        fall * (upper - lower),
    ])  # fmt: skip


def _starts(x: Array, y: Array, error: Array | None) -> list[Array]:
    """Starting values in the parameters of the fit: the best ones of a grid, each with another pair of slopes."""
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
            heights, cost = fit_heights(steps, y, error)
            best = int(np.argmin(cost))
            baseline, upper, lower = heights[best]
            extra = mu_2[best] - mu_1[best] - _LEAST_DISTANCE * (sigma_1 + sigma_2)
            fall = upper + lower
            starts.append([mu_1[best], sigma_1, sigma_2, extra, baseline, baseline + fall, upper / (fall or 1.0)])
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
