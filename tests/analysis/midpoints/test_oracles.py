"""Fits and midpoints against published results and other programs."""

from __future__ import annotations

import math

import lmfit
import numpy as np
import psignifit
import pytest

from analysis.midpoints.curves.repetition_curve import RepetitionCurve
from analysis.midpoints.curves.weighted_fit import Logistic, fit_logistic, logistic
from analysis.midpoints.flags import Flag
from tests.analysis.midpoints.curves import Array


def fit_rising(x: Array, y: Array, scale: float) -> Logistic:
    """Fit the rising logistic ``scale * a_max / (1 + exp((mu - x) / sigma))`` with three parameters.

    The curve of the analysis falls from a_max to a_min in [0, 1]: it gets ``-x`` and ``y / scale``, and an all but
    exact point at infinite noise holds a_min at the 0 that the three-parameter model has there.
    """
    error = np.append(np.ones(len(x)), 1e-9)
    return fit_logistic(np.append(-x, np.inf), np.append(y / scale, 0.0), error, absolute=False)


def test_certified_rat42_of_nist():
    """NIST/ITL StRD, Rat42 (Ratkowsky 1983): pasture yield over growing time, y = b1 / (1 + exp(b2 - b3 x))."""
    time = np.array([9.0, 14.0, 21.0, 28.0, 42.0, 57.0, 63.0, 70.0, 79.0])
    pasture = np.array([8.93, 10.80, 18.59, 22.33, 39.35, 56.11, 61.73, 64.62, 67.08])
    b1, b2, b3 = 7.2462237576e01, 2.6180768402e00, 6.7359200066e-02
    b1_deviation, b3_deviation = 1.7340283401e00, 3.4465663377e-03
    fit = fit_rising(time, pasture, 100)
    assert 100 * fit.a_max == pytest.approx(b1, rel=1e-9)
    assert -fit.mu / fit.sigma == pytest.approx(b2, rel=1e-9)
    assert 1 / fit.sigma == pytest.approx(b3, rel=1e-9)
    assert 100 * fit.errors[3] == pytest.approx(b1_deviation, rel=1e-6)
    assert fit.errors[1] == pytest.approx(b3_deviation / b3**2, rel=1e-5)


def test_dnase1_of_r():
    """R, ``nls(density ~ SSlogis(log(conc), Asym, xmid, scal), DNase1)``: run 1 of the assay, and R's summary.

    R's iteration stops early: the optimum of scal is 1.041455, R prints 1.04146.
    """
    concentration = np.repeat([0.04882812, 0.1953125, 0.390625, 0.78125, 1.5625, 3.125, 6.25, 12.5], 2)
    density = np.array([
        0.017, 0.018, 0.121, 0.124, 0.206, 0.215, 0.377, 0.374, 0.614, 0.609, 1.019, 1.001, 1.334, 1.364, 1.730, 1.710,
    ])  # fmt: skip
    fit = fit_rising(np.log(concentration), density, 3)
    assert (3 * fit.a_max, -fit.mu, fit.sigma) == pytest.approx((2.34518, 1.48309, 1.04146), abs=6e-6)
    errors = (3 * fit.errors[3], fit.errors[0], fit.errors[1])
    assert errors == pytest.approx((0.07815, 0.08135, 0.03227), abs=6e-6)


def test_chickweight1_of_r():
    """R, ``nls(weight ~ SSlogis(Time, Asym, xmid, scal), ChickWeight.1)``: the growth of one chick.

    Its upper end lies far beyond the data, so that R's iteration stops 0.007 before the optimum 937.023 of Asym, which
    has a standard error of 466. The midpoint lies beyond the data, but within the bounds of the fit.
    """
    time = np.array([0.0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 21])
    weight = np.array([42.0, 51, 59, 64, 76, 93, 106, 125, 149, 171, 199, 205])
    fit = fit_rising(time, weight, 1000)
    assert 1000 * fit.a_max == pytest.approx(937.03, abs=0.01)
    assert (-fit.mu, fit.sigma) == pytest.approx((35.223, 11.405), abs=6e-4)


@pytest.mark.parametrize("seed", range(12))
def test_weighted_fit_is_that_of_lmfit(seed: int):
    draw = np.random.default_rng(seed)
    x = np.sort(draw.uniform(-2, 2, 20))
    mu, sigma = draw.uniform(-0.7, 0.7), draw.uniform(0.1, 0.3)
    error = draw.uniform(0.005, 0.03, len(x))
    y = np.clip(logistic(x, mu, sigma, 0.1, 0.95) + error * draw.normal(size=len(x)), 0, 1)
    ours = fit_logistic(x, y, error)
    model = lmfit.Model(logistic)
    theirs = model.fit(y, x=x, mu=0.0, sigma=0.2, a_min=0.2, a_max=0.9, weights=1 / error, scale_covar=False)
    names = ("mu", "sigma", "a_min", "a_max")
    best = [theirs.best_values[name] for name in names]
    assert [getattr(ours, name) for name in names] == pytest.approx(best, abs=1e-5)
    assert ours.errors == pytest.approx([theirs.params[name].stderr for name in names], rel=1e-3)


@pytest.mark.parametrize("seed", range(4))
def test_midpoint_of_a_repetition_is_that_of_psignifit(seed: int):
    """Binomial accuracies on 10,000 images, whose sampling moves both estimates in the same way."""
    draw = np.random.default_rng(seed)
    x = np.linspace(-2, 2, 17)
    mu, sigma, chance, images = draw.uniform(-0.5, 0.5), draw.uniform(0.15, 0.3), 0.1, 10_000
    correct = draw.binomial(images, logistic(x, mu, sigma, chance, 0.95))
    data = np.column_stack([-x, correct, np.full(len(x), images)])
    theirs = psignifit.psignifit(
        data, sigmoid="logistic", experiment_type="yes/no", fixed_parameters={"eta": 1e-9, "gamma": chance},
        verbose=False,
    )  # fmt: skip
    level = RepetitionCurve(10**x, correct / images).level_at(0.5, chance)
    assert not isinstance(level, Flag)
    assert math.log10(level) == pytest.approx(-theirs.parameter_estimate["threshold"], abs=0.01)
    assert math.log10(level) == pytest.approx(mu, abs=0.02)
