from __future__ import annotations

import math

import numpy as np
import pytest

from analysis.midpoints.curves.weighted_fit import logistic
from analysis.midpoints.curves.weighted_midpoint import WeightedMidpoint, fit_mean_curve
from tests.analysis.midpoints.curves import FLOOR, LEVELS, Accuracy, curve, noisy, runs_of


def fitted(accuracy: Accuracy, *, repetitions: int = 3, weighted: bool = True) -> WeightedMidpoint:
    fit = fit_mean_curve(runs_of(accuracy, repetitions), weighted=weighted)
    assert fit is not None
    return fit


@pytest.mark.parametrize("mu", [0.05, 0.94, 1.69, 30.0])
def test_known_midpoint(mu: float):
    fit = fitted(lambda level, number: curve(level, mu * (1 + 0.001 * (number - 1))))
    assert fit.mu == pytest.approx(mu, rel=1e-3)
    assert fit.misfit < 1e-3


def test_linear_axis_finds_the_midpoint_of_a_curve_in_the_level():
    levels = np.linspace(0, 2, 21)
    runs = runs_of(lambda level, number: logistic(level, 0.9 + 0.01 * number, 0.1, FLOOR, 0.95), levels=levels)
    fit = fit_mean_curve(runs, axis="linear")
    assert fit is not None
    assert fit.mu == pytest.approx(0.91, abs=1e-3)
    assert fit.error == fit.curve.errors[0]


def test_error_of_the_midpoint_is_that_of_its_logarithm():
    fit = fitted(noisy(1))
    drawn = 10 ** np.random.default_rng(0).normal(fit.curve.mu, fit.curve.errors[0], 200_000)
    assert fit.mu == pytest.approx(np.median(drawn), rel=1e-2)
    assert fit.error == pytest.approx(drawn.std(), rel=0.05)


def test_dead_networks_at_exactly_chance_do_not_break_the_fit():
    def dies(level, number):
        alive = curve(level, 2.0 * (1 + 0.02 * number))
        return np.where(alive < FLOOR + 0.02, FLOOR, alive)

    fit = fitted(dies)
    assert fit.mu == pytest.approx(2.04, rel=0.02)
    assert 0 < fit.error < 0.2


def test_repetitions_that_agree_everywhere_give_the_fit_without_weights():
    def agreeing(level, number):
        return np.round(curve(level, 2.0), 2)

    agree, unweighted = fitted(agreeing), fitted(agreeing, weighted=False)
    assert agree.curve == unweighted.curve
    assert agree.mu == pytest.approx(2.0, rel=0.02)
    assert 0 < agree.error < 0.1


def test_levels_run_once_among_levels_run_often():
    runs = runs_of(noisy(2), repetitions=4)
    fit = fit_mean_curve(runs[(runs["repetition"] == "0") | (runs["level"] > 1)])
    assert fit is not None
    assert fit.mu == pytest.approx(2.0, rel=0.15)
    assert math.isfinite(fit.error)


def test_weights_are_the_repetitions_deviations_above_their_pooled_value():
    # One wild level: the weighted fit gives it little weight, the unweighted one follows it.
    def wild(level, number):
        accuracy = curve(level, 2.0) + 0.002 * (number - 1)
        accuracy[np.argmin(abs(level - 1.0))] -= 0.35 * number
        return accuracy

    weighted, unweighted = (fitted(wild, weighted=choice) for choice in (True, False))
    assert abs(math.log10(weighted.mu / 2)) < 0.5 * abs(math.log10(unweighted.mu / 2))


@pytest.mark.parametrize("count", [0, 1, 4])
def test_too_few_levels_and_rising_curves_have_none(count: int):
    assert fit_mean_curve(runs_of(noisy(5), levels=LEVELS[:count])) is None
    assert fit_mean_curve(runs_of(lambda level, _: 0.5 + 0.1 * np.log10(level + 1))) is None


def test_sampled_plateaus():
    fit = fitted(noisy(6))
    assert fit.samples_plateaus(np.array(LEVELS))
    assert not fit.samples_plateaus(np.array(LEVELS[:21]))
    assert not fit.samples_plateaus(np.array(LEVELS[18:]))


@pytest.mark.slow
def test_error_of_the_fit_is_no_confidence_interval():
    """With three repetitions 1.96 errors to both sides contain the true midpoint less often than in 95 % of studies."""
    fits = [fitted(noisy(3000 + seed)) for seed in range(200)]
    assert np.mean([abs(fit.mu - 2.0) <= 1.96 * fit.error for fit in fits]) < 0.91
