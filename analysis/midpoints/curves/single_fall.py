"""Single fall of a robustness curve: the generalised logistic and its mirror image, and its fit.

With ``t = (x - half) / width``, the generalised logistic (Richards 1959) falls from 1 to 0 through 1/2 at t = 0:

    s_q(t) = (1 + (2**q - 1) e**t) ** (-1/q),    exp(-5) <= q <= exp(2)

q = 1 is the logistic. q -> 0 is the Gompertz curve ``exp(-ln 2 exp(t))``, which begins to fall slowly and ends sharply.
q > 1 begins sharply and has a long lower tail. The mirror image is ``1 - s_q(-t)``. The fit takes the better of both.
The asymmetry is free, so that a curve that is only asymmetric needs no second step.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from scipy.optimize import leastsq

from analysis.midpoints.curves.weighted_fit import Array

_LOG_Q = -5.0, 2.0
_LOG_WIDTH = -20.0, 20.0
_START_LOG_Q = (-3.0, 0.0, 1.3)
_START_SHIFTS = (-0.25, 0.0, 0.25)
_START_WIDTHS = (0.2, 0.4, 0.7)
_TOLERANCE = 1e-5
_EVALUATIONS = 200


def fit_single_fall(x: Array, y: Array, weight: Array) -> tuple[Array, float]:
    """Best single fall: its values at ``x``, and the weighted sum of squared distances from ``y``.

    Parameters
    ----------
    x : (points,)
        Noise in ascending order; at least two values are finite, others may be ``-inf``.
    y : (points,)
        Accuracies in [0, 1].
    weight : (points,)
        Weight of each squared distance.
    """
    half, width, log_q = (each.ravel() for each in np.meshgrid(*_starts(x, y), _START_LOG_Q))
    best, least = y, math.inf
    for sign in (1, -1):

        def shape(noise: Array, middle: float, log_width: float, log_q: float, sign: int = sign) -> Array:
            return _fall(sign, (noise - middle) / _exp(log_width, *_LOG_WIDTH), _exp(log_q, *_LOG_Q))

        shapes = _fall(sign, (x - half[:, None]) / width[:, None], np.exp(log_q)[:, None])
        weighted = weight * (shapes - shapes @ weight[:, None] / weight.sum())
        start = int(np.argmax((weighted @ y) ** 2 / ((weighted * shapes).sum(axis=1) + 1e-12)))
        starts = [np.array([half[start], math.log(width[start]), log_q[start]])]
        parameters, squares, _ = fit_shape(shape, x, y, weight, starts)
        if squares < least:
            best, least = scaled(shape(x, *parameters), y, weight), squares
    return best, least


def _fall(sign: int, t: Array, q: Any) -> Array:
    """Generalised logistic (sign 1) or its mirror image (sign -1)."""
    share = np.exp(-np.log1p((2**q - 1) * np.exp(np.minimum(sign * t, 500.0))) / q)
    fall: Array = share if sign > 0 else 1 - share
    return fall


def _exp(value: float, low: float, high: float) -> float:
    """Exponential of a value clipped to [low, high]."""
    return math.exp(min(max(value, low), high))


def _starts(x: Array, y: Array) -> tuple[Array, Array]:
    """Starting values of ``half`` and ``width``, from the noise at which the running minimum of ``y`` has fallen."""
    sampled = np.isfinite(x)
    noise, lowest = x[sampled], np.minimum.accumulate(y)[sampled]
    top, bottom = float(y.max()), float(lowest[-1])
    quarter, half, rest = np.interp(
        [top - share * (top - bottom) for share in (0.25, 0.5, 0.75)], lowest[::-1], noise[::-1]
    )
    width = max(rest - quarter, float(np.diff(noise).min()) / 2)
    return half + width * np.array(_START_SHIFTS), width * np.array(_START_WIDTHS)


def fit_shape(
    shape: Callable[..., Array], x: Array, y: Array, weight: Array, starts: Iterable[Array]
) -> tuple[Array, float, Array | None]:
    """Least-squares parameters of a shape that falls from 1 to 0, with the best heights for each parameter value.

    Returns
    -------
    parameters, squares
        Best parameters of all ``starts``, and their weighted sum of squares.
    covariance
        Covariance of the parameters for points with variance 1 / ``weight``; None if it is singular.
    """
    best: tuple[Array, float, Array | None] | None = None
    for start in starts:
        parameters, covariance, information, _, _ = leastsq(
            lambda values, *_, **__: _residual(shape(x, *values), y, weight), start, full_output=True, ftol=_TOLERANCE,
            xtol=_TOLERANCE, maxfev=_EVALUATIONS,
        )  # fmt: skip
        squares = float(information["fvec"] @ information["fvec"])
        if best is None or squares < best[1]:
            best = parameters, squares, covariance
    assert best is not None
    return best


def scaled(share: Array, y: Array, weight: Array) -> Array:
    """The fall ``share`` from 1 to 0 with the heights that fit ``y`` best."""
    low, high = heights(share, y, weight)
    scaled_share: Array = low + (high - low) * share
    return scaled_share


def heights(share: Array, y: Array, weight: Array) -> tuple[float, float]:
    """Accuracies at which ``share`` is 0 and 1: weighted least squares, clipped to [0, 1]."""
    total = weight.sum()
    mean = weight @ share / total
    weighted = weight * (share - mean)
    slope = weighted @ y / (weighted @ share + 1e-12)
    low = weight @ y / total - slope * mean
    return min(max(low, 0.0), 1.0), min(max(low + slope, 0.0), 1.0)


def _residual(share: Array, y: Array, weight: Array) -> Array:
    residual: Array = np.sqrt(weight) * (scaled(share, y, weight) - y)
    return residual
