"""The falling logistic of a robustness curve, and its least-squares fit."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import OptimizeWarning, curve_fit
from scipy.special import expit

Array = NDArray[np.float64]

PARAMETERS = 4
"""The number of free parameters of the curve: mu, sigma, a_min and a_max."""

_NARROWEST = 1 / 20
"""The smallest sigma, as a share of the smallest gap between levels. A narrower curve has the same values at them."""


def logistic(x: Array, mu: float, sigma: float, a_min: float, a_max: float) -> Array:
    """Accuracy at noise ``x``: ``a_min + (a_max - a_min) / (1 + exp((x - mu) / sigma))``.

    ``x = -inf`` gives ``a_max`` and ``x = inf`` gives ``a_min``. This is eq. 1 of Walking Noise v1 with two
    corrections: with its printed sign the curve would rise, and its printed scale is half of what the curve needs.
    """
    return a_min + (a_max - a_min) * expit((mu - x) / sigma)


def _jacobian(x: Array, mu: float, sigma: float, a_min: float, a_max: float) -> Array:
    """Derivatives of :func:`logistic` by mu, sigma, a_min and a_max: (points, 4)."""
    share = expit((mu - x) / sigma)
    by_mu = (a_max - a_min) * share * (1 - share) / sigma
    distance = np.where(np.isfinite(x), (mu - x) / sigma, 0.0)
    return np.column_stack([by_mu, -by_mu * distance, 1 - share, share])


@dataclass(frozen=True)
class Logistic:
    """A fitted curve: its four parameters, and in ``errors`` their standard errors in the same order."""

    mu: float
    sigma: float
    a_min: float
    a_max: float
    errors: tuple[float, ...]

    def __call__(self, x: Array) -> Array:
        return logistic(x, self.mu, self.sigma, self.a_min, self.a_max)


class FitFailed(ValueError):
    """The fit converged from none of its starting values."""


def fit_logistic(x: Array, y: Array, error: Array | None = None, *, absolute: bool = True) -> Logistic:
    """Fit :func:`logistic` by weighted least squares (v1, eq. 2), from several starting values.

    Minimises ``sum(((y - logistic(x)) / error)**2)`` within bounds. Both plateaus lie in [0, 1].
    With r the width of the sampled range, mu lies at most r outside that range, and sigma lies between 1/20 of the
    smallest gap and r.

    Parameters
    ----------
    x : (points,)
        Noise. At least two values are finite; others may be ``-inf`` (no noise at all) or ``inf``.
    y : (points,)
        Accuracies in [0, 1].
    error : (points,), optional
        Uncertainties of the accuracies, all positive. Without them all points weigh the same.
    absolute
        Whether the standard errors follow from the size of ``error`` (scipy's ``absolute_sigma``). If not, and without
        ``error``, they follow from the scatter of ``y`` around the curve.

    Raises
    ------
    FitFailed
        The fit converged from no start to a curve with finite standard errors.
    """
    sampled = np.unique(x[np.isfinite(x)])
    low, high = sampled[0], sampled[-1]
    span = high - low
    narrowest = float(np.diff(sampled).min()) * _NARROWEST
    bounds = ([low - span, narrowest, 0.0, 0.0], [high + span, span, 1.0, 1.0])

    best: Logistic | None = None
    least = np.inf
    for start in _starts(x, y, sampled):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", OptimizeWarning)
                found, covariance = curve_fit(
                    logistic, x, y, np.clip(start, *bounds), error, absolute_sigma=absolute and error is not None,
                    check_finite=False, bounds=bounds, jac=_jacobian, ftol=1e-13, xtol=1e-13, gtol=1e-13,
                )  # fmt: skip
        except RuntimeError:
            continue
        residual = (y - logistic(x, *found)) / (1.0 if error is None else error)
        cost, variances = float(residual @ residual), np.diag(covariance)
        if np.isfinite(variances).all() and cost < least:
            mu, sigma, a_min, a_max = map(float, found)
            best, least = Logistic(mu, sigma, a_min, a_max, tuple(map(float, np.sqrt(variances)))), cost
    if best is None:
        raise FitFailed("the fit of the logistic did not converge from any start")
    return best


def _starts(x: Array, y: Array, sampled: Array) -> list[list[float]]:
    """Starting values (mu, sigma, a_min, a_max): mu halfway down or at a third of the range, sigma small or large."""
    top, bottom = float(y.max()), float(y.min())
    finite = np.isfinite(x)
    order = np.argsort(x[finite], kind="stable")
    above = y[finite][order] > (top + bottom) / 2
    last_above = int(np.flatnonzero(above)[-1]) if above.any() else 0
    halfway = float(x[finite][order][last_above])
    span = float(sampled[-1] - sampled[0])
    middles = [halfway, *np.quantile(sampled, [1 / 3, 2 / 3])]
    return [[float(mu), sigma, bottom, top] for mu in middles for sigma in (span / 30, span / 8)]
