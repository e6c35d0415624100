from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
import pytest
from scipy.special import expit

from analysis.errors import AnalysisError
from analysis.intervals import VariancePrior
from analysis.midpoints.curves.repetition_curve import RepetitionCurve
from analysis.midpoints.maximum_noise import MAXIMUM
from analysis.midpoints.refine import LEAST_SEEDS, expected_width, refine, seeds_needed, slope_levels
from tests.analysis.conftest import FLOOR, FakeStudy
from tests.coverage.refining import cell, real_study, shape_study
from tests.coverage.simulated_studies import SHAPES

COARSE = [10 ** (-2 + step / 2) for step in range(9)]
FINE = [10 ** (-2 + step / 10) for step in range(41)]


def curve(levels: list[float], middle: float, sigma: float = 0.2, a_min: float = 0.1) -> RepetitionCurve:
    x = np.log10(levels)
    return RepetitionCurve(np.array(levels), a_min + (0.95 - a_min) * expit((middle - x) / sigma))


def walk(fake_study: type[FakeStudy], levels: list[float] = COARSE, points: int = 9, **options: Any) -> FakeStudy:
    study = fake_study()
    for point in range(points):
        settings = {"model.batch_norm": True, "noise.point": point, "noise.in_training": False}
        study.series(settings, 0.8, levels, **options)
    return study


@pytest.mark.parametrize("middle", [-0.5, -0.1, 0.0, 0.2])
@pytest.mark.parametrize("sigma", [0.1, 0.2, 0.4])
def test_four_levels_lie_on_the_slope_and_one_on_each_side(middle: float, sigma: float):
    new, kept = slope_levels(curve(COARSE, middle, sigma), 0.1)
    assert not {*new} & {*COARSE}
    assert {*kept} <= {*COARSE}
    shares = expit((middle - np.log10(sorted({*new, *kept}))) / sigma)
    assert len(shares) == 6
    assert ((shares > 0.1) & (shares < 0.9)).sum() == 4
    assert shares[0] > 0.97
    assert shares[-1] < 0.06


def test_a_fine_grid_gets_no_new_levels():
    new, kept = slope_levels(curve(FINE, 0.0, 0.4), 0.1)
    assert new == ()
    assert len(kept) == 6


def test_levels_of_a_partial_fall_lie_on_its_own_slope():
    new, kept = slope_levels(curve(COARSE, 0.0, a_min=0.4), 0.1)
    levels = sorted({*new, *kept})
    assert sum(0.1 < share < 0.9 for share in expit(-np.log10(levels) / 0.2)) == 4
    assert len([level for level in levels if level > 3]) >= 2


def test_the_number_of_seeds_follows_from_the_pooled_variance():
    samples = [[-0.03, 0.0, 0.03], [0.0, 0.02, 0.04], [0.1, 0.1, 0.1], [1.0, 1.01, 1.02]]
    variance = float(np.mean([np.var(each, ddof=1) for each in samples]))
    seeds = seeds_needed(samples, 0.03, None, shares=False)
    assert expected_width(variance, seeds, None) <= 0.03 < expected_width(variance, seeds - 1, None)
    assert seeds_needed(samples, 0.02, None, shares=False) > seeds
    assert seeds_needed(samples, 0.03, None, shares=True) >= seeds


def test_a_single_series_gets_enough_seeds_for_a_variance_that_may_be_small_by_chance():
    assert seeds_needed([[0.0, 0.001, 0.002]], 0.1, None, shares=False) == LEAST_SEEDS


def test_a_prior_makes_few_seeds_suffice():
    samples, prior = [[-0.03, 0.0, 0.03]] * 9, VariancePrior(0.0009, math.inf, 9, shares_networks=False)
    assert seeds_needed(samples, 0.08, prior, shares=False) < seeds_needed(samples, 0.08, None, shares=False)


def test_all_series_of_a_kind_get_the_same_seeds(fake_study: type[FakeStudy]):
    plans = refine(walk(fake_study).analyse(), 0.03)
    assert len(plans) == 9
    (seeds,) = {plan.seeds for plan in plans}
    assert seeds > 3
    assert all(plan.new_levels and plan.kept_levels and not plan.remark for plan in plans)
    assert float(np.median([plan.expected_width for plan in plans])) < float(np.median([plan.width for plan in plans]))


def test_very_coarse_levels_are_refined_before_the_seeds(fake_study: type[FakeStudy]):
    plans = refine(walk(fake_study, [10.0**step for step in range(-3, 4)], sigma=0.1).analyse(), 0.02)
    assert {plan.remark for plan in plans} == {"levels on the slope; then refine again"}
    assert all(plan.new_levels and plan.seeds == 3 and math.isnan(plan.expected_width) for plan in plans)


def test_series_that_reach_the_width_get_nothing(fake_study: type[FakeStudy]):
    plans = refine(walk(fake_study, FINE).analyse(), 0.2)
    assert {plan.remark for plan in plans} == {"no further seeds or levels needed"}
    assert not any(plan.new_levels or plan.kept_levels for plan in plans)
    assert all(plan.seeds == 3 for plan in plans)


@pytest.mark.parametrize(("mu", "side"), [(3e3, 1), (1e-3, -1)])
def test_series_with_a_midpoint_beyond_the_levels_get_levels_there(fake_study: type[FakeStudy], mu: float, side: int):
    study = walk(fake_study)
    study.series({"model.batch_norm": True, "noise.point": 9, "noise.in_training": False}, mu, [*COARSE, 0.0])
    *_, plan = refine(study.analyse(), 0.05)
    assert plan.seeds == 3
    assert len(plan.new_levels) == 4
    assert all(level > COARSE[-1] if side > 0 else level < COARSE[0] for level in plan.new_levels)
    assert plan.remark.startswith("levels beyond")


def test_a_series_that_survives_maximum_noise_gets_nothing(fake_study: type[FakeStudy]):
    study = walk(fake_study)
    settings = {"model.batch_norm": True, "noise.point": 9, "noise.in_training": False}
    study.series(settings, 1.0, [*COARSE, MAXIMUM], a_min=0.94)
    *_, plan = refine(study.analyse(), 0.05)
    assert (plan.new_levels, plan.kept_levels) == ((), ())
    assert plan.remark == "does not lose half up to level 1e+10"


@pytest.mark.parametrize("width", [0.0, -1.0, math.nan, math.inf])
def test_a_width_must_be_above_0(fake_study: type[FakeStudy], width: float):
    with pytest.raises(AnalysisError, match="give a finite number of decades above 0"):
        refine(walk(fake_study, points=1).analyse(), width)


def test_first_stages_that_give_no_plan(fake_study: type[FakeStudy]):
    with pytest.raises(AnalysisError, match="one seed"):
        refine(walk(fake_study, points=2, repetitions=1).analyse(), 0.05)
    with pytest.raises(AnalysisError, match="no series has a midpoint in two seeds: at chance accuracy"):
        refine(walk(fake_study, points=2, a_max=FLOOR).analyse(), 0.05)
    with pytest.raises(AnalysisError, match="more than 1000 seeds"):
        refine(walk(fake_study, points=2).analyse(), 1e-4)
    study = fake_study()
    study.complete({"noise.kind": "none"}, 0.9)
    with pytest.raises(AnalysisError, match="no series has a robustness curve"):
        refine(study.analyse(), 0.05)


def test_coverage_width_and_runs_in_short():
    for study in (partial(shape_study, SHAPES["logistic"], 0.0), real_study):
        row = cell(study, 8, shares=study is real_study)
        assert row["coverage"] > 0.85
        assert row["relative"] < 1.05
        assert row["runs"] < 0.8 * row["fixed"]
