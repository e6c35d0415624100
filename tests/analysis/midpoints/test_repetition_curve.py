from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from analysis.midpoints.curves.repetition_curve import SMALLEST_LOSS, RepetitionCurve
from analysis.midpoints.flags import Flag
from analysis.midpoints.midpoint import LEAST_ON_SLOPE
from tests.analysis.midpoints.curves import FLOOR, Array, curve
from tests.coverage.curve_shapes import SIMULATED
from tests.coverage.simulated_studies import A_MAX, CHANCE, DECADES


def log10_level(curve: RepetitionCurve, share: float, end: float) -> float:
    level = curve.level_at(share, end)
    assert not isinstance(level, Flag)
    return math.log10(level)


@pytest.mark.parametrize("share", [0.15, 0.3, 0.5, 0.8])
@pytest.mark.parametrize("levels", [5, 8, 40])
def test_exact_for_a_logistic(share: float, levels: int):
    """Its logits over log10 of the level are a straight line. Level 0 and a very high one have the plateaus."""
    level = np.array([0.0, *np.logspace(-0.85, 0.85, levels), 1e12])
    steep = RepetitionCurve(level, curve(level, 1.05, sigma=0.2))
    expected = math.log10(1.05) + 0.2 * math.log((1 - share) / share)
    assert log10_level(steep, share, FLOOR) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("shape", SIMULATED.values(), ids=SIMULATED)
@pytest.mark.parametrize("seed", range(3))
def test_bias_with_four_levels_on_the_slope(shape: Callable[[Array], Array], seed: int):
    """At most 0.005 decades over all phases of the levels, without errors of the accuracies."""
    draw = np.random.default_rng(seed)
    errors = []
    for levels in (13, 17, 25, 41):
        step = DECADES / (levels - 1)
        for phase in draw.uniform(-step / 2, step / 2, 25):
            x = np.linspace(-DECADES / 2, DECADES / 2, levels) + phase
            sampled = RepetitionCurve(10**x, CHANCE + (A_MAX - CHANCE) * shape(x))
            shares = sampled.shares(CHANCE)
            if ((shares >= 0.1) & (shares <= 0.9)).sum() >= LEAST_ON_SLOPE:
                errors.append(log10_level(sampled, 0.5, CHANCE))
    assert len(errors) >= 25
    assert abs(np.mean(errors)) <= 0.005


def test_level_0_counts_towards_the_noise_free_accuracy():
    level = np.array([0.0, 0.1, 1.0, 2.0, 4.0, 100.0])
    accuracy = np.array([0.912, 0.91, 0.8, 0.4, 0.2, 0.1])
    with_zero, without = RepetitionCurve(level, accuracy), RepetitionCurve(level[1:], accuracy[1:])
    assert with_zero.a_max == pytest.approx(0.911)
    assert without.a_max == pytest.approx(0.91)
    assert with_zero.a_min == pytest.approx(0.1)
    assert log10_level(with_zero, 0.5, FLOOR) < log10_level(without, 0.5, FLOOR)


def test_isotonic_regression_with_one_dead_level():
    """The level where the network is dead, and the two after it, have the mean of the three."""
    accuracy = np.array([0.9, 0.9, 0.1, 0.7, 0.7, 0.3, 0.1, 0.1])
    dead = RepetitionCurve(np.logspace(-2, 1.5, 8), accuracy)
    assert dead.falling == pytest.approx([0.9, 0.9, 0.5, 0.5, 0.5, 0.3, 0.1, 0.1])
    assert dead.a_max == pytest.approx(0.9)
    assert dead.a_min == pytest.approx(0.1)
    level = dead.level_at(0.5, FLOOR)
    assert isinstance(level, float)
    assert dead.level[2] <= level <= dead.level[4]


def test_half_of_what_there_is_to_lose_and_half_of_the_own_fall():
    """With a remainder of 0.3, half between 0.9 and 0.1 is 0.5; half of the fall from 0.9 to 0.3 is 0.6."""
    level = np.logspace(-3, 3, 61)
    partial = RepetitionCurve(level, curve(level, 1.0, a_min=0.3, a_max=0.9, sigma=0.2))
    assert partial.a_min == pytest.approx(0.3, abs=1e-3)
    assert log10_level(partial, 0.5, partial.a_min) == pytest.approx(0.0, abs=2e-3)
    assert log10_level(partial, 0.5, FLOOR) == pytest.approx(0.2 * math.log(2), abs=2e-3)


def test_levels_beyond_the_sampled_ones():
    level = np.array([0.0, 0.5, 1.0, 2.0, 4.0])
    falls = RepetitionCurve(level, np.array([0.9, 0.88, 0.8, 0.7, 0.6]))
    assert falls.level_at(0.5, FLOOR) == Flag.ABOVE_RANGE
    assert falls.level_at(0.99, FLOOR) == Flag.BELOW_RANGE
    assert not falls.ends_on_plateau


@pytest.mark.parametrize("shape", SIMULATED.values(), ids=SIMULATED)
def test_levels_of_small_losses(shape: Callable[[Array], Array]):
    """The levels of 1 and 5 % loss of a finely sampled curve, and their order."""
    x = np.linspace(-4, 4, 401)
    fine = RepetitionCurve(10**x, CHANCE + (A_MAX - CHANCE) * shape(x))
    reference = [float(x[np.argmax(shape(x) <= 1 - loss)]) for loss in (0.01, 0.05)]
    levels = [log10_level(fine, 1 - loss, CHANCE) for loss in (0.01, 0.05)]
    assert levels == pytest.approx(reference, abs=0.06)
    assert levels[0] < levels[1] < log10_level(fine, 0.5, CHANCE)


@pytest.mark.parametrize("seed", range(20))
def test_share_of_the_first_and_the_last_level_is_reached_there(seed: int):
    draw = np.random.default_rng(seed)
    level = np.sort(10 ** draw.uniform(-2, 2, 7))
    falls = RepetitionCurve(level, np.array([0.9, *np.sort(draw.uniform(0.2, 0.85, 6))[::-1]]))
    last = float(falls.shares(FLOOR)[-1])
    assert falls.level_at(last, FLOOR) == pytest.approx(level[-1])


@pytest.mark.parametrize("seed", range(5))
def test_level_of_a_share_falls_with_the_share(seed: int):
    draw = np.random.default_rng(seed)
    level = np.logspace(-2, 2, 15)
    rough = RepetitionCurve(level, np.clip(curve(level, 1.0) + draw.normal(0, 0.05, 15), 0, 1))
    found = [rough.level_at(share, rough.a_min) for share in np.linspace(1 - SMALLEST_LOSS, SMALLEST_LOSS, 50)]
    within = [each for each in found if not isinstance(each, Flag)]
    assert len(within) > 30
    assert within == sorted(within)
