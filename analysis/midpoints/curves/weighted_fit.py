"""Weighted fit of a robustness curve: the logistic of Walking Noise v1, eq. 1, by the least squares of eq. 2.

:func:`logistic` is the curve, :func:`fit_logistic` the fit. Its ``mu`` is the midpoint noise level in units of the
noise axis; :mod:`analysis.midpoints.curves.weighted_midpoint` chooses the axis and the weights. :func:`fit_heights`
also serves the two stacked logistics of :mod:`analysis.midpoints.curves.stacked_logistics`.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import OptimizeWarning, curve_fit
from scipy.special import expit

Array = NDArray[np.float64]

PARAMETERS = 4
"""Number of free parameters of the curve: mu, sigma, a_min and a_max."""

_NARROWEST = 1 / 20
"""Smallest sigma as a share of the smallest gap between levels. A narrower curve has the same values at the levels."""


def logistic(x: Array, mu: float, sigma: float, a_min: float, a_max: float) -> Array:
    """Accuracy at noise ``x``: ``a_min + (a_max - a_min) / (1 + exp((x - mu) / sigma))``.

    ``x = -inf`` gives ``a_max`` and ``x = inf`` gives ``a_min``. This is eq. 1 of Walking Noise v1 with two
    corrections: the printed sign makes the curve rise, and the printed scale is half of the one that the curve needs.
    """
    return a_min + (a_max - a_min) * expit((mu - x) / sigma)


def _jacobian(x: Array, mu: float, sigma: float, a_min: float, a_max: float) -> Array:
    """Derivatives of :func:`logistic` with respect to mu, sigma, a_min and a_max: (points, 4)."""
    share = expit((mu - x) / sigma)
    by_mu = (a_max - a_min) * share * (1 - share) / sigma
    distance = np.where(np.isfinite(x), (mu - x) / sigma, 0.0)
    return np.column_stack([by_mu, -by_mu * distance, 1 - share, share])


@dataclass(frozen=True)
class Logistic:
    """Fitted logistic: its four parameters, and their standard errors ``errors`` in the same order."""

    mu: float
    sigma: float
    a_min: float
    a_max: float
    errors: tuple[float, ...]

    def __call__(self, x: Array) -> Array:
        return logistic(x, self.mu, self.sigma, self.a_min, self.a_max)


class FitFailed(ValueError):
    """No starting value led to a fit with finite standard errors."""


def fit_logistic(x: Array, y: Array, error: Array | None = None, *, absolute: bool = True) -> Logistic:
    """Fit :func:`logistic` by weighted least squares (v1, eq. 2).

    Minimises ``sum(((y - logistic(x)) / error)**2)`` within bounds. The starting values are the best ones of a grid
    over mu and sigma. Bounds: both plateaus lie in [0, 1]. With r the width of the sampled range, mu lies at most r
    outside this range, and sigma lies between 1/20 of the smallest gap and r.

    Parameters
    ----------
    x : (points,)
        Noise. At least two values are finite; others may be ``-inf`` (no noise) or ``inf``.
    y : (points,)
        Accuracies in [0, 1].
    error : (points,), optional
        Uncertainties of the accuracies, all positive. Without them all points have the same weight.
    absolute
        Whether the standard errors are computed from the size of ``error`` (scipy's ``absolute_sigma``). Otherwise, and
        without ``error``, they are computed from the scatter of ``y`` around the curve.

    Raises
    ------
    FitFailed
        No starting value led to a fit with finite standard errors.
    """
    low, high, narrowest = sampled_range(x)
    span = high - low
    bounds = np.array([low - span, narrowest, 0.0, 0.0]), np.array([high + span, span, 1.0, 1.0])
    best: tuple[Array, Array] | None = None
    least = np.inf

    def fit(start: Array, **bounded: Any) -> tuple[Array, Array]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", (OptimizeWarning, RuntimeWarning))
            parameters, covariance = curve_fit(
                logistic, x, y, start, error, absolute_sigma=absolute and error is not None, check_finite=False,
                jac=_jacobian, ftol=1e-13, xtol=1e-13, gtol=1e-13, **bounded,
            )  # fmt: skip
        return parameters, covariance

    for start in (np.clip(each, *bounds) for each in _starts(x, y, error)):
        for bounded in ({}, {"bounds": bounds}):  # the fit without bounds is faster, and often keeps within them
            try:
                parameters, covariance = fit(start, **bounded)
            except RuntimeError:
                continue
            within = ((bounds[0] <= parameters) & (parameters <= bounds[1])).all()
            if not within or not np.isfinite(np.diag(covariance)).all():
                continue
            residual = (y - logistic(x, *parameters)) / (1.0 if error is None else error)
            cost = float(residual @ residual)
            if cost < least:
                best, least = (parameters, covariance), cost
            break
    if best is None:
        raise FitFailed("no starting value led to a fit with finite standard errors")
    mu, sigma, a_min, a_max = map(float, best[0])
    return Logistic(mu, sigma, a_min, a_max, tuple(map(float, np.sqrt(np.diag(best[1])))))


def sampled_range(x: Array) -> tuple[float, float, float]:
    """Lowest and highest finite noise, and the smallest sigma of a fit."""
    sampled = np.unique(x[np.isfinite(x)])
    return float(sampled[0]), float(sampled[-1]), float(np.diff(sampled).min()) * _NARROWEST


def _starts(x: Array, y: Array, error: Array | None) -> list[Array]:
    """Starting values (mu, sigma, a_min, a_max): the best ones of a grid for narrow, medium and wide slopes."""
    sampled = np.unique(x[np.isfinite(x)])
    low, high, narrowest = sampled_range(x)
    span = high - low
    outside = np.linspace(0.1, 1, 5) * span
    mus = np.concatenate([low - outside, sampled, (sampled[1:] + sampled[:-1]) / 2, high + outside])
    sigmas = np.geomspace(3 * narrowest, span / 3, 9)
    mu, sigma = (each.ravel() for each in np.meshgrid(mus, sigmas))
    heights, cost = fit_heights(expit((mu[:, None] - x) / sigma[:, None])[:, None], y, error)
    starts = np.column_stack([mu, sigma, heights[:, 0], heights.sum(axis=1)])
    thirds = zip(np.split(starts, 3), np.split(cost, 3), strict=True)
    return [candidates[np.argmin(costs)] for candidates, costs in thirds]


def fit_heights(steps: Array, y: Array, error: Array | None) -> tuple[Array, Array]:
    """Least-squares heights of stacked steps with known shapes, and of the baseline below them.

    Parameters
    ----------
    steps : (candidates, steps, points)
        Each step falls from 1 to 0.

    Returns
    -------
    heights : (candidates, 1 + steps)
        The baseline first. Heights are clipped to [0, 1].
    cost : (candidates,)
        The weighted sum of squares with these heights.
    """
    weight = np.ones_like(y) if error is None else 1 / error
    baseline = np.ones((len(steps), 1, len(y)))
    design = np.concatenate([baseline, steps], axis=1) * weight
    normal = design @ design.swapaxes(1, 2)
    normal += 1e-9 * np.trace(normal, axis1=1, axis2=2)[:, None, None] * np.eye(normal.shape[1])
    heights = np.linalg.solve(normal, design @ (y * weight)[:, None])[..., 0].clip(0.0, 1.0)
    residual = y * weight - (heights[:, None] @ design)[:, 0]
    return heights, (residual**2).sum(axis=1)
