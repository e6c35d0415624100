"""Comparison of methods that read the midpoint off the curve of one repetition.

Each row is a shape and a number of levels over four decades. Each method has its bias and its root mean square error,
in thousandths of a decade, with an error of 0.01 of each accuracy and random offsets of the levels. The truth of a real
curve is its midpoint at all 97 levels.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
from scipy.interpolate import PchipInterpolator
from scipy.optimize import curve_fit

from analysis.midpoints.curves.repetition_curve import RepetitionCurve
from analysis.midpoints.curves.weighted_fit import fit_logistic
from analysis.midpoints.flags import Flag
from tests.coverage.simulated_studies import (
    A_MAX,
    CHANCE,
    DECADES,
    SCATTER,
    Array,
    Shape,
    gompertz,
    logistic,
    real_curves,
)

LEVELS = (9, 13, 17, 41)
Method = Callable[[RepetitionCurve, float], float]


def mirrored_gompertz(x: Array) -> Array:
    """Share that is left, falling fast first and then slowly."""
    return 1 - gompertz(-x)


SIMULATED: dict[str, Shape] = {
    "logistic, 0.9 decades": logistic,
    "logistic, 0.44 decades": lambda x: logistic(2 * x),
    "Gompertz, 0.9 decades": gompertz,
    "Gompertz, mirrored": mirrored_gompertz,
    "Hill, remainder of 0.1": lambda x: 0.1 + 0.9 * logistic(x + 0.205 * math.log(1.25)),
}
"""Shares that are left at distance ``x`` in decades from the midpoint, by the width of the fall from 90 to 10 %."""


def by_logistic(curve: RepetitionCurve, chance: float) -> float:
    """Midpoint of the four-parameter logistic, half of its own fall."""
    return fit_logistic(np.log10(curve.level), curve.accuracy).mu


def by_five_parameters(curve: RepetitionCurve, chance: float) -> float:
    """Level at which the five-parameter logistic, with the chance accuracy as its end, has lost half."""

    def function(x: Array, mu: float, sigma: float, a_max: float, asymmetry: float) -> Array:
        tail = (2 ** (1 / asymmetry) - 1) * np.exp((x - mu) / sigma)
        return np.asarray(chance + (a_max - chance) * (1 + tail) ** -asymmetry)

    x = np.log10(curve.level)
    start = x[np.argmin(np.abs(curve.accuracy - (curve.a_max + chance) / 2))]
    bounds = [x[0] - 1, 0.02, 0, 0.05], [x[-1] + 1, 3, 1, 50]
    best, least = math.nan, math.inf
    for asymmetry in (0.3, 1.0, 4.0):
        try:
            found, _ = curve_fit(function, x, curve.accuracy, [start, 0.2, curve.a_max, asymmetry], bounds=bounds)
        except RuntimeError:
            continue
        cost = float(((curve.accuracy - function(x, *found)) ** 2).sum())
        if cost < least:
            best, least = float(found[0]), cost
    return best


def by_pchip(curve: RepetitionCurve, chance: float) -> float:
    """Level at which monotone cubic interpolation of the isotonic accuracies has lost half."""
    height = curve.falling - (curve.a_max + chance) / 2
    crossings = PchipInterpolator(np.log10(curve.level), height).roots(extrapolate=False)
    return float(np.mean(crossings)) if len(crossings) else math.nan


def by_product(curve: RepetitionCurve, chance: float) -> float:
    """Midpoint of the analysis: monotone cubic interpolation of the logits of the isotonic accuracies."""
    level = curve.level_at(0.5, chance)
    return math.nan if isinstance(level, Flag) else math.log10(level)


METHODS: dict[str, Method] = {
    "logistic": by_logistic, "five-parameter": by_five_parameters, "PCHIP": by_pchip, "PCHIP of logits": by_product,
}  # fmt: skip


def comparison(number: int) -> pd.DataFrame:
    """Bias and root mean square error of each method, from ``number`` curves per row."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pd.DataFrame([_row(name, levels, number) for name in [*SIMULATED, "real"] for levels in LEVELS])


def _row(name: str, levels: int, number: int) -> dict[str, object]:
    curves = list(_real(levels, number) if name == "real" else _simulated(name, levels, number))
    chance = curves[0][2]
    on_slope = [_on_slope(curve, chance) for curve, _, _ in curves]
    row: dict[str, object] = {"curve": name, "levels": levels, "on slope": f"{np.mean(on_slope):.1f}"}
    for method, estimate in METHODS.items():
        errors = 1000 * np.array([estimate(curve, chance) - truth for curve, truth, chance in curves])
        row[method] = f"{np.nanmean(errors):+.0f} / {math.sqrt(np.nanmean(errors**2)):.0f}"
    return row


def _on_slope(curve: RepetitionCurve, chance: float) -> int:
    shares = curve.shares(chance)
    return int(((shares >= 0.1) & (shares <= 0.9)).sum())


def _simulated(name: str, levels: int, number: int) -> Iterator[tuple[RepetitionCurve, float, float]]:
    draw = np.random.default_rng(levels)
    step = DECADES / (levels - 1)
    for _ in range(number):
        x = np.linspace(-DECADES / 2, DECADES / 2, levels) + draw.uniform(-step / 2, step / 2)
        accuracy = CHANCE + (A_MAX - CHANCE) * SIMULATED[name](x) + SCATTER * draw.normal(size=levels)
        yield RepetitionCurve(10**x, accuracy.clip(0, 1)), 0.0, CHANCE


def _real(levels: int, number: int) -> Iterator[tuple[RepetitionCurve, float, float]]:
    draw = np.random.default_rng(levels)
    x, accuracies, chance = real_curves()
    every = round(DECADES / (levels - 1) / float(np.diff(x).mean()))
    for _ in range(number):
        accuracy = accuracies[draw.integers(len(accuracies)), draw.integers(accuracies.shape[1])]
        chosen = slice(int(draw.integers(every)), None, every)
        truth = by_product(RepetitionCurve(10**x, accuracy), chance)
        yield RepetitionCurve(10 ** x[chosen], accuracy[chosen]), truth, chance
