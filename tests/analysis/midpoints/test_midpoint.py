from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from numpy.typing import ArrayLike, NDArray

from analysis.midpoints.curves.weighted_fit import logistic
from analysis.midpoints.flags import FEW_REPETITIONS, Flag, flag_letter
from analysis.midpoints.midpoint import fit_midpoint, t_interval

FLOOR = 0.1
LEVELS = (0.0, *np.logspace(-2, 2, 17))


def runs_of(
    accuracy: Callable[[NDArray[np.float64], int], NDArray[np.float64]],
    repetitions: int = 3,
    levels: ArrayLike = LEVELS,
) -> pd.DataFrame:
    """Runs whose accuracies are a function of the levels and the number of the repetition."""
    level = np.array(levels, dtype=float)
    return pd.concat([
        pd.DataFrame({"level": level, "repetition": str(number), "accuracy": accuracy(level, number)})
        for number in range(repetitions)
    ])  # fmt: skip


def curve(
    level: NDArray[np.float64], mu: float, a_min: float = FLOOR, a_max: float = 0.95, sigma: float = 0.15
) -> NDArray[np.float64]:
    with np.errstate(divide="ignore"):
        return logistic(np.log10(level), math.log10(mu), sigma, a_min, a_max)


def noisy(
    seed: int, mu: float = 2.0, between: float = 0.03, within: float = 0.005
) -> Callable[[NDArray[np.float64], int], NDArray[np.float64]]:
    """Repetitions whose midpoints scatter by ``between`` decades, and whose accuracies scatter by ``within``."""
    draw = np.random.default_rng(seed)

    def accuracy(level: NDArray[np.float64], _: int) -> NDArray[np.float64]:
        shifted = curve(level, mu * 10 ** draw.normal(0, between))
        return np.asarray(np.clip(shifted + draw.normal(0, within, len(level)), 0, 1))

    return accuracy


@pytest.mark.parametrize("mu", [0.05, 0.94, 1.69, 30.0])
def test_known_midpoint(mu: float):
    fit = fit_midpoint(runs_of(lambda level, number: curve(level, mu * (1 + 0.001 * (number - 1)))), FLOOR)
    assert fit.mu == pytest.approx(mu, rel=1e-3)
    assert fit.repetitions.mu == pytest.approx(mu, rel=1e-5)
    assert fit.repetitions.low < mu < fit.repetitions.high
    assert fit.flags == ()
    assert fit.is_sound


def test_linear_axis_finds_the_midpoint_of_a_curve_in_the_level():
    levels = np.linspace(0, 2, 21)
    runs = runs_of(lambda level, number: logistic(level, 0.9 + 0.01 * number, 0.1, FLOOR, 0.95), levels=levels)
    fit = fit_midpoint(runs, FLOOR, axis="linear")
    assert fit.mu == pytest.approx(0.91, abs=1e-3)
    assert fit.repetitions.midpoints == pytest.approx((0.90, 0.91, 0.92))
    assert fit.repetitions.mu == pytest.approx(0.91)


def test_error_of_the_midpoint_is_that_of_its_logarithm():
    fit = fit_midpoint(runs_of(noisy(1)), FLOOR)
    assert fit.curve is not None
    drawn = 10 ** np.random.default_rng(0).normal(fit.curve.mu, fit.curve.errors[0], 200_000)
    assert fit.mu == pytest.approx(np.median(drawn), rel=1e-2)
    assert fit.mu_error == pytest.approx(drawn.std(), rel=0.05)


def test_dead_networks_at_exactly_chance_do_not_break_the_fit():
    def dies(level, number):
        alive = curve(level, 2.0 * (1 + 0.02 * number))
        return np.where(alive < FLOOR + 0.02, FLOOR, alive)

    fit = fit_midpoint(runs_of(dies), FLOOR)
    assert fit.mu == pytest.approx(2.04, rel=0.02)
    assert 0 < fit.mu_error < 0.2


def test_repetitions_that_agree_everywhere_give_the_fit_without_weights():
    agree = fit_midpoint(runs_of(lambda level, _: np.round(curve(level, 2.0), 2)), FLOOR)
    unweighted = fit_midpoint(runs_of(lambda level, _: np.round(curve(level, 2.0), 2)), FLOOR, weighted=False)
    assert agree.curve == unweighted.curve
    assert agree.mu == pytest.approx(2.0, rel=0.02)
    assert 0 < agree.mu_error < 0.1
    assert agree.repetitions.low == pytest.approx(agree.repetitions.high)


def test_levels_run_once_among_levels_run_often():
    runs = runs_of(noisy(2), repetitions=4)
    once = runs[(runs["repetition"] == "0") | (runs["level"] > 1)]
    fit = fit_midpoint(once, FLOOR)
    assert fit.mu == pytest.approx(2.0, rel=0.15)
    assert math.isfinite(fit.mu_error)
    assert fit.flags == (Flag.REPETITION_WITHOUT_MIDPOINT,) or len(fit.repetitions.midpoints) == 4


def test_weights_are_the_repetitions_deviations_above_their_pooled_value():
    # One wild level: the weighted fit gives it little weight, the unweighted one follows it.
    def wild(level, number):
        accuracy = curve(level, 2.0) + 0.002 * (number - 1)
        accuracy[np.argmin(abs(level - 1.0))] -= 0.35 * number
        return accuracy

    weighted, unweighted = (fit_midpoint(runs_of(wild), FLOOR, weighted=choice) for choice in (True, False))
    assert abs(math.log10(weighted.mu / 2)) < 0.5 * abs(math.log10(unweighted.mu / 2))


@pytest.mark.parametrize(("repetitions", "flag"), [(1, Flag.ONE_REPETITION), (2, Flag.TWO_REPETITIONS), (3, None)])
def test_few_repetitions(repetitions: int, flag: Flag | None):
    fit = fit_midpoint(runs_of(noisy(3), repetitions), FLOOR)
    assert set(fit.flags) & FEW_REPETITIONS == ({flag} if flag else set())
    assert fit.is_sound
    assert math.isfinite(fit.repetitions.low) == (repetitions > 1)
    assert fit.mu == pytest.approx(2.0, rel=0.2)
    assert math.isfinite(fit.mu_error)


def test_three_repetitions_have_the_textbook_t_interval():
    fit = fit_midpoint(runs_of(noisy(4)), FLOOR)
    logs = np.log10(fit.repetitions.midpoints)
    half = 4.302653 * logs.std(ddof=1) / math.sqrt(3)
    assert fit.repetitions.low == pytest.approx(10 ** (logs.mean() - half), rel=1e-6)
    assert fit.repetitions.high == pytest.approx(10 ** (logs.mean() + half), rel=1e-6)


@pytest.mark.parametrize(
    ("accuracy", "flag"),
    [
        (lambda level, _: np.full(len(level), 0.95), Flag.NEVER_FALLS),
        (lambda level, _: np.full(len(level), FLOOR), Flag.ALWAYS_AT_FLOOR),
        (lambda level, _: 0.5 + 0.1 * np.log10(level + 1), Flag.NEVER_FALLS),
    ],
    ids=["flat", "dead", "rising"],
)
def test_curve_without_a_midpoint(accuracy, flag: Flag):
    fit = fit_midpoint(runs_of(accuracy), FLOOR)
    assert fit.flags == (flag,)
    assert fit.curve is None
    assert math.isnan(fit.mu)
    assert math.isnan(fit.mu_error)
    assert fit.repetitions.midpoints == ()


@pytest.mark.parametrize(
    ("accuracy", "flag"),
    [
        (lambda level, _: curve(level, 180.0), Flag.ABOVE_RANGE),
        (lambda level, _: curve(level, 0.004), Flag.BELOW_RANGE),
        (lambda level, _: curve(level, 60.0), Flag.PLATEAU_UNSAMPLED),
        (lambda level, _: curve(level, 2.0, a_min=0.5), Flag.PARTIAL_FALL),
        (lambda level, _: np.where(level < 1.5, 0.95, FLOOR), Flag.NO_LEVEL_ON_SLOPE),
        (lambda level, _: curve(level, 0.1, a_min=0.55) - curve(level, 30.0, 0.45, 0.0), Flag.MISFIT),
    ],
    ids=lambda value: value.name if isinstance(value, Flag) else "curve",
)
def test_doubtful_midpoint(accuracy, flag: Flag):
    fit = fit_midpoint(runs_of(accuracy), FLOOR)
    assert flag in fit.flags
    assert not fit.is_sound
    assert math.isfinite(fit.mu)


def test_step_lies_between_its_two_levels():
    fit = fit_midpoint(runs_of(lambda level, _: np.where(level < 1.5, 0.95, FLOOR)), FLOOR)
    assert 1.0 < fit.mu < 1.78


def test_repetition_without_a_midpoint_has_a_flag():
    fit = fit_midpoint(runs_of(lambda level, number: curve(level, 2.0) if number else np.full(len(level), 0.9)), FLOOR)
    assert Flag.REPETITION_WITHOUT_MIDPOINT in fit.flags
    assert len(fit.repetitions.midpoints) == 2
    assert fit.repetitions.total == 3


@pytest.mark.parametrize("count", [1, 4])
def test_too_few_levels(count: int):
    fit = fit_midpoint(runs_of(noisy(5), levels=LEVELS[:count]), FLOOR)
    assert fit.flags[0] == Flag.TOO_FEW_LEVELS
    assert fit.curve is None


def test_no_runs():
    fit = fit_midpoint(runs_of(noisy(5), levels=()), FLOOR)
    assert fit.flags == (Flag.NO_COMPLETED_RUNS,)
    assert fit.curve is None
    assert fit.repetitions.total == 0


def test_levels_up_to_the_end_of_float32():
    levels = np.logspace(0, 16, 65)
    fit = fit_midpoint(runs_of(noisy(6, mu=3e11), levels=levels), FLOOR)
    assert fit.mu == pytest.approx(3e11, rel=0.2)
    assert fit.is_sound


def test_every_flag_has_its_letter():
    assert len({flag_letter(flag) for flag in Flag}) == len(Flag)


def coverage(repetitions: int, studies: int = 200) -> tuple[float, float]:
    """Share of simulated studies whose t interval, and whose mu ± 1.96 errors, hold the true midpoint."""
    truth = 2.0
    by_repetition = weighted = 0
    for seed in range(studies):
        fit = fit_midpoint(runs_of(noisy(1000 * repetitions + seed, truth), repetitions), FLOOR)
        by_repetition += fit.repetitions.low <= truth <= fit.repetitions.high
        weighted += abs(fit.mu - truth) <= 1.96 * fit.mu_error
    return by_repetition / studies, weighted / studies


@pytest.mark.slow
def test_interval_over_repetitions_covers_95_percent_and_the_weighted_fit_less():
    by_repetition, weighted = coverage(3)
    assert 0.92 <= by_repetition <= 0.98  # 200 studies: ± 0.015
    assert weighted < by_repetition - 0.05


@pytest.fixture(scope="module")
def five_repetitions() -> list[tuple[float, ...]]:
    """The midpoints of five repetitions, whose true midpoint is 2, in 200 simulated studies."""
    fits = (fit_midpoint(runs_of(noisy(5000 + seed), 5), FLOOR).repetitions for seed in range(200))
    return [repetitions.midpoints for repetitions in fits]


@pytest.mark.slow
@pytest.mark.parametrize("repetitions", [4, 5])
def test_interval_over_more_repetitions_covers_95_percent(five_repetitions, repetitions: int):
    intervals = [t_interval(np.log10(midpoints[:repetitions])) for midpoints in five_repetitions]
    covered = [low <= math.log10(2.0) <= high for _, low, high in intervals]
    assert 0.92 <= sum(covered) / len(covered) <= 0.98
