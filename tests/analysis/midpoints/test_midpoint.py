from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import beta

from analysis.intervals import Estimate, Method, VariancePrior
from analysis.midpoints.flags import MINOR, Flag, flag_letter
from analysis.midpoints.midpoint import LEAST_FALL, LEAST_ON_SLOPE, LOSSES, MidpointFit, fit_midpoint
from analysis.midpoints.repetition_levels import RepetitionLevels
from tests.analysis.midpoints.curves import FLOOR, LEVELS, Accuracy, Array, curve, noisy, runs_of


def fitted(accuracy: Accuracy, repetitions: int = 3, levels: tuple[float, ...] = LEVELS) -> MidpointFit:
    return fit_midpoint(runs_of(accuracy, repetitions, levels), FLOOR)


def lies_in_its_interval(estimate: Estimate) -> bool:
    return estimate.low <= estimate.value <= estimate.high


@pytest.mark.parametrize("mu", [0.05, 0.94, 1.69, 30.0])
def test_known_midpoint(mu: float):
    fit = fitted(lambda level, number: curve(level, mu * 1.01 ** (number - 1)))
    assert fit.mu.value == pytest.approx(mu, rel=5e-3)
    assert fit.mu.low < mu < fit.mu.high
    assert fit.mu.method == Method.T
    # The fall of a curve with a midpoint at 30 ends close to the highest level, 100.
    assert fit.mu_of_fall.value == (pytest.approx(mu, rel=0.02) if mu < 30 else pytest.approx(math.nan, nan_ok=True))
    assert fit.weighted is not None
    assert fit.weighted.mu == pytest.approx(mu, rel=1e-2)
    assert fit.flags == ()
    assert fit.is_sound


def test_estimate_is_the_geometric_mean_with_the_textbook_t_interval():
    fit = fitted(noisy(4))
    logs = np.array(list(fit.repetitions.logs.values()))
    half = 4.302653 * logs.std(ddof=1) / math.sqrt(3)
    expected = 10 ** np.array([logs.mean(), logs.mean() - half, logs.mean() + half])
    assert (fit.mu.value, fit.mu.low, fit.mu.high) == pytest.approx(tuple(expected), rel=1e-6)


@pytest.mark.parametrize("seed", range(10))
def test_every_estimate_lies_in_its_interval(seed: int):
    fit = replace(
        fitted(noisy(seed, mu=10 ** (0.2 * seed - 1), between=0.3, within=0.05)),
        prior=VariancePrior(0.01, 3.0, 11, shares_networks=bool(seed % 2)),
    )
    known = [
        fit.mu, fit.mu_plain, fit.mu_of_fall, fit.mu_of_survivors, fit.width, fit.a_max, fit.a_min, fit.share_dead,
        *(fit.level_at_loss(loss) for loss in LOSSES),
    ]  # fmt: skip
    assert all(each.bound or math.isnan(each.value) or lies_in_its_interval(each) for each in known)
    assert sum(map(lies_in_its_interval, known)) >= 5


def test_prior_moderates_the_interval_only():
    fit = fitted(noisy(4))
    moderated = replace(fit, prior=VariancePrior(0.03**2, 4.0, 11, shares_networks=False))
    assert (moderated.mu.method, moderated.mu_plain) == (Method.MODERATED, fit.mu)
    assert moderated.mu.value == fit.mu.value
    assert lies_in_its_interval(moderated.mu)


@pytest.mark.parametrize(("repetitions", "flag"), [(1, Flag.ONE_REPETITION), (2, Flag.TWO_REPETITIONS), (3, None)])
def test_few_repetitions(repetitions: int, flag: Flag | None):
    fit = fitted(noisy(3), repetitions)
    assert fit.flags == ((flag,) if flag else ())
    assert fit.is_sound
    assert math.isfinite(fit.mu.low) == (repetitions > 1)
    assert (fit.mu.method == Method.NONE) == (repetitions == 1)
    assert fit.mu.value == pytest.approx(2.0, rel=0.2)


def test_midpoints_beyond_one_end_make_a_bound_with_the_end_counted():
    above = RepetitionLevels({"0": 1.0, "1": 10.0, "2": Flag.ABOVE_RANGE, "3": Flag.NEVER_FALLS}, 0.01, 100.0)
    below = RepetitionLevels({"0": 1.0, "1": Flag.BELOW_RANGE, "2": Flag.ALWAYS_AT_FLOOR}, 0.01, 100.0)
    for levels, value, bound in ((above, 10 ** (5 / 4), "≥"), (below, 10 ** (-4 / 3), "≤")):
        estimate = levels.estimate()
        assert estimate.value == pytest.approx(value)
        assert (estimate.bound, estimate.is_known, estimate.method) == (bound, False, Method.NONE)
        assert math.isnan(estimate.low)
        assert math.isnan(estimate.high)
    both = RepetitionLevels({"0": 1.0, "1": Flag.BELOW_RANGE, "2": Flag.ABOVE_RANGE}, 0.01, 100.0).estimate()
    assert (both.bound, both.is_known) == ("", False)
    assert math.isnan(both.value)


def test_repetition_that_never_falls_makes_a_bound():
    fit = fitted(lambda level, number: curve(level, 2.0) if number else np.full(len(level), 0.9))
    assert Flag.ABOVE_RANGE in fit.flags
    assert not fit.is_sound
    assert fit.mu.value == pytest.approx((4.0 * 100) ** (1 / 3), rel=1e-2)
    assert fit.mu.bound == "≥"
    assert fit.repetitions.outcomes["0"] == Flag.NEVER_FALLS


def test_repetition_with_too_few_levels_is_left_out_with_a_flag():
    runs = runs_of(noisy(2), repetitions=4)
    fit = fit_midpoint(runs[(runs["repetition"] != "3") | (runs["level"] > 40)], FLOOR)
    assert fit.repetitions.outcomes["3"] == Flag.TOO_FEW_LEVELS
    assert fit.flags == (Flag.REPETITION_WITHOUT_MIDPOINT,)
    assert len(fit.repetitions.logs) == 3
    assert lies_in_its_interval(fit.mu)


def test_half_of_the_own_fall_is_another_level_where_a_remainder_is_kept():
    """Half of 0.9 to 0.1 is 0.5, where 2/3 of the fall to 0.3 is lost."""
    fit = fitted(lambda level, number: curve(level, 2.0 * 1.02 ** (number - 1), a_min=0.3, a_max=0.9))
    assert fit.mu_of_fall.value == pytest.approx(2.0, rel=5e-3)
    assert fit.mu.value == pytest.approx(2.0 * 10 ** (0.15 * math.log(2)), rel=5e-3)
    assert fit.weighted is not None
    assert fit.weighted.mu == pytest.approx(fit.mu_of_fall.value, rel=1e-2)
    assert fit.flags == (Flag.PARTIAL_FALL,)
    assert (fit.a_max.value, fit.a_min.value) == pytest.approx((0.9, 0.3), abs=2e-3)


def test_half_of_the_own_fall_is_unknown_before_its_end():
    fit = fitted(lambda level, number: curve(level, 60.0 * 1.02**number))
    assert Flag.PLATEAU_UNSAMPLED in fit.flags
    assert math.isnan(fit.mu_of_fall.value)
    assert lies_in_its_interval(fit.mu)


@pytest.mark.parametrize("levels", [9, 12, 17, 41])
def test_fewer_than_four_levels_on_the_slope_have_a_flag(levels: int):
    """The slope from 90 to 10 % has 4.4 times 0.15 decades."""
    sampled = np.logspace(-2, 2, levels)
    fit = fitted(lambda level, _: curve(level, 1.0), levels=(0.0, *sampled))
    on_slope = int((abs(np.log10(sampled)) < 0.15 * math.log(9)).sum())
    assert fit.slope is not None
    assert fit.slope.levels == on_slope
    assert (Flag.LEVELS_TOO_COARSE in fit.flags) == (on_slope < LEAST_ON_SLOPE)
    assert fit.slope.before <= 1.0 <= fit.slope.after
    assert fit.slope.before in sampled
    assert fit.slope.after in sampled
    assert fit.is_sound


def test_step_lies_between_its_two_levels():
    fit = fitted(lambda level, _: np.where(level < 1.5, 0.95, FLOOR))
    assert fit.slope is not None
    assert (fit.slope.before, fit.slope.after, fit.slope.levels) == pytest.approx((10**0.125, 10**0.25, 0))
    assert fit.slope.before < fit.mu.value < fit.slope.after
    assert Flag.LEVELS_TOO_COARSE in fit.flags


@pytest.mark.parametrize("end", [0, -1])
def test_midpoint_at_the_first_or_last_level(end: int):
    accuracy = np.array([0.9, 0.9, 0.9, 0.8, 0.7, 0.6, 0.5]) if end else np.array([0.9, 0.5, 0.4, 0.3, 0.2, 0.1, 0.1])
    fit = fitted(lambda level, _: accuracy, levels=LEVELS[:7])
    assert fit.mu.value == pytest.approx(LEVELS[1:7][end])
    assert fit.mu.bound == ""
    assert fit.slope is not None


@pytest.mark.parametrize("first", [6.0668, 7.2952, 0.0284, 0.003])
@pytest.mark.parametrize("end", [0, -1])
def test_rounding_of_a_midpoint_at_the_first_or_last_level(first: float, end: int):
    """10**log10(level) differs from these levels in the last digit."""
    accuracy = np.array([0.9, 0.9, 0.9, 0.8, 0.7, 0.6, 0.5]) if end else np.array([0.9, 0.5, 0.4, 0.3, 0.2, 0.1, 0.1])
    levels = first / np.arange(6, 0, -1) if end else first * np.arange(1, 7)
    fit = fitted(lambda level, _: accuracy, levels=(0.0, *levels))
    assert fit.mu.value == pytest.approx(first)
    assert fit.slope is not None
    assert fit.slope.before <= first * (1 + 1e-9)
    assert first * (1 - 1e-9) <= fit.slope.after


def dead_at(level: Array, number: int) -> Array:
    """Repetition 0 is dead above 0.15. The midpoints of the others lie near 2."""
    alive = curve(level, 2.0 * 1.02 ** (number - 1))
    return np.where((number == 0) & (level > 0.15), FLOOR, alive)


def test_dead_repetition_counts_in_the_estimate_and_is_shown():
    fit = fitted(dead_at)
    assert fit.dead == ("0",)
    assert Flag.DEAD_RUNS in fit.flags
    assert not fit.is_sound
    assert fit.repetitions.logs.keys() == {"0", "1", "2"}
    assert fit.mu.value < 0.9 * fit.mu_of_survivors.value
    assert fit.mu_of_survivors.value == pytest.approx(2.0 * 1.02**0.5, rel=1e-2)
    assert lies_in_its_interval(fit.mu)
    assert lies_in_its_interval(fit.mu_of_survivors)


def test_share_of_dead_repetitions_has_the_interval_of_clopper_and_pearson():
    """1 of 3: 0.84 to 90.57 % (quantiles of beta distributions)."""
    share = fitted(dead_at).share_dead
    assert share.value == pytest.approx(1 / 3)
    assert (share.low, share.high) == pytest.approx((0.0084, 0.9057), abs=5e-5)
    assert (share.low, share.high) == pytest.approx((beta.ppf(0.025, 1, 3), beta.ppf(0.975, 2, 2)))
    none = fitted(noisy(1)).share_dead
    assert (none.value, none.low, none.high) == pytest.approx((0, 0, 1 - 0.025 ** (1 / 3)))


def test_levels_after_the_fall_are_not_dead():
    assert fitted(noisy(8, between=0.1)).dead == ()
    assert fitted(dead_at, repetitions=1).dead == ()


def test_losses_and_width_of_a_logistic():
    fine = tuple(np.logspace(-2, 2, 401))
    fit = fitted(lambda level, number: curve(level, 2.0 * 1.02 ** (number - 1)), levels=fine)
    for loss in LOSSES:
        level = fit.level_at_loss(loss)
        assert level.value == pytest.approx(2.0 * 10 ** (0.15 * math.log(loss / (1 - loss))), rel=0.05)
        assert lies_in_its_interval(level)
    assert fit.width.value == pytest.approx(10 ** (0.15 * math.log(81)), rel=0.02)


@pytest.mark.parametrize(
    ("accuracy", "flag", "bound"),
    [
        (lambda level, _: np.full(len(level), 0.95), Flag.NEVER_FALLS, "≥ 100"),
        (lambda level, _: np.full(len(level), FLOOR), Flag.ALWAYS_AT_FLOOR, "≤ 0.01"),
        (lambda level, _: np.full(len(level), FLOOR + LEAST_FALL - 1e-9), Flag.ALWAYS_AT_FLOOR, "≤ 0.01"),
        (lambda level, _: 0.5 + 0.1 * np.log10(level + 1), Flag.NEVER_FALLS, "≥ 100"),
    ],
    ids=["flat", "dead", "nearly dead", "rising"],
)
def test_curve_without_a_fall(accuracy: Accuracy, flag: Flag, bound: str):
    fit = fitted(accuracy)
    assert fit.flags == (flag,)
    assert fit.weighted is None
    assert fit.slope is None
    assert f"{fit.mu.bound} {fit.mu.value:g}" == bound
    loss = fit.level_at_loss(0.01)
    assert (loss.value, loss.bound) == (fit.mu.value, fit.mu.bound)
    assert math.isnan(fit.mu_of_fall.value)
    assert math.isnan(fit.width.value)


@pytest.mark.parametrize(
    ("accuracy", "flag"),
    [
        (lambda level, _: curve(level, 180.0), Flag.ABOVE_RANGE),
        (lambda level, _: curve(level, 0.004), Flag.BELOW_RANGE),
        (lambda level, _: curve(level, 60.0), Flag.PLATEAU_UNSAMPLED),
        (lambda level, _: curve(level, 2.0, a_min=0.4), Flag.PARTIAL_FALL),
    ],
    ids=lambda value: value.name if isinstance(value, Flag) else "curve",
)
def test_doubtful_midpoint(accuracy: Accuracy, flag: Flag):
    fit = fitted(accuracy)
    assert flag in fit.flags
    assert not fit.is_sound
    assert math.isfinite(fit.mu.value)
    assert bool(fit.mu.bound) == (flag in (Flag.ABOVE_RANGE, Flag.BELOW_RANGE))


def test_misfit_of_the_logistic_leaves_the_midpoint_sound():
    fit = fitted(lambda level, _: curve(level, 0.1, a_min=0.55) - curve(level, 30.0, 0.45, 0.0))
    assert Flag.MISFIT in fit.flags
    assert Flag.MISFIT in MINOR


@pytest.mark.parametrize("count", [1, 4])
def test_too_few_levels(count: int):
    fit = fitted(noisy(5), levels=LEVELS[:count])
    assert fit.flags == (Flag.TOO_FEW_LEVELS,)
    assert fit.weighted is None
    assert math.isnan(fit.mu.value)


def test_no_runs():
    fit = fitted(noisy(5), levels=())
    assert fit.flags == (Flag.NO_COMPLETED_RUNS,)
    assert (fit.weighted, fit.repetitions.outcomes) == (None, {})
    assert math.isnan(fit.mu.value)
    assert math.isnan(fit.share_dead.value)


def test_levels_up_to_the_end_of_float32():
    fit = fitted(noisy(6, mu=3e11), levels=tuple(np.logspace(0, 16, 65)))
    assert fit.mu.value == pytest.approx(3e11, rel=0.2)
    assert fit.is_sound


def test_every_flag_has_its_letter():
    assert len({flag_letter(flag) for flag in Flag}) == len(Flag)
