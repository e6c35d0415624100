"""Contrasts of midpoints: against closed forms and scipy, with gaps, and the coverage in a few cells."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis.errors import AnalysisError
from analysis.midpoints.contrasts import AdditiveModel, mean_ratio, paired_ratios
from tests.coverage.contrasts import coverage

POINTS = ["input", "fc1", "relu1", "fc2", "relu2", "fc3"]


def midpoints(repetitions: int = 3, seed: int = 0, scatter: float = 0.02) -> pd.DataFrame:
    """log10 midpoints with a large seed effect. The points are 0.2 decades apart, the last one highest."""
    random = np.random.default_rng(seed)
    seeds = 0.3 * random.normal(size=(repetitions, 1))
    rest = scatter * random.normal(size=(repetitions, len(POINTS)))
    return pd.DataFrame(0.2 * np.arange(len(POINTS)) + seeds + rest, columns=POINTS)


def test_residual_is_that_of_a_two_way_analysis():
    values = midpoints()
    model = AdditiveModel(values)
    rest = values.sub(values.mean(axis=1), axis=0) - values.mean() + values.to_numpy().mean()
    assert model.freedom == 10
    assert model.residual_sd == pytest.approx(np.sqrt((rest**2).to_numpy().sum() / 10))
    assert model.effects.to_numpy() == pytest.approx(values.mean().to_numpy())


def test_two_columns_give_the_paired_t_interval():
    values = midpoints()[["input", "fc1"]]
    difference = values["input"] - values["fc1"]
    expected = stats.ttest_1samp(difference, 0).confidence_interval(0.95)
    ratio, low, high = AdditiveModel(values).ratio("input", "fc1")
    assert np.log10([low, ratio, high]) == pytest.approx([expected.low, difference.mean(), expected.high])


def test_pooling_narrows_an_interval_and_the_seed_cancels():
    values = midpoints()
    _, low, high = AdditiveModel(values).ratio("fc2", "fc1")
    alone = AdditiveModel(values[["fc1", "fc2"]])
    moved = AdditiveModel(values.add([0.0, 5.0, -7.0], axis=0))
    assert low < 10**0.4 < high
    assert np.log(high / low) < np.log(alone.ratio("fc2", "fc1")[2] / alone.ratio("fc2", "fc1")[1])
    assert moved.ratio("fc2", "fc1")[1:] == pytest.approx((low, high))
    assert moved.ratio("fc1", "fc2") == pytest.approx((1 / moved.ratio("fc2", "fc1")[0], 1 / high, 1 / low))


def test_simultaneous_intervals_have_the_critical_value_of_sidak():
    pairs = AdditiveModel(midpoints()).pairs
    factor = pairs.half_width(15) / pairs.half_width()
    expected = stats.t.ppf((1 + 0.95 ** (1 / 15)) / 2, pairs.freedom) / stats.t.ppf(0.975, pairs.freedom)
    assert len(pairs.estimate) == 15
    assert factor.to_numpy() == pytest.approx(expected)


def test_point_with_a_large_scatter_keeps_a_wide_interval():
    values = midpoints(10)
    values["fc3"] += 0.3 * np.random.default_rng(1).normal(size=10)
    error = AdditiveModel(values).pairs.error
    assert error["input", "fc3"] > 4 * error["input", "fc1"]


def test_weakest_and_strongest_points():
    apart, close = AdditiveModel(midpoints()), AdditiveModel(midpoints(scatter=0.5))
    assert (apart.may_be_lowest(), apart.may_be_highest()) == (["input"], ["fc3"])
    assert len(close.may_be_lowest()) > 1
    assert "input" in close.may_be_lowest()


def test_weighted_contrast():
    values = midpoints()
    weights = pd.DataFrame([[0.5, 0.5, -1.0, 0.0, 0.0, 0.0]], ["early"], POINTS)
    contrast = AdditiveModel(values).contrasts(weights)
    assert contrast.estimate["early"] == pytest.approx(float((values @ weights.T).mean().iloc[0]))
    assert abs(contrast.estimate["early"] + 0.3) < contrast.half_width()["early"]


def test_gaps_are_filled_by_least_squares():
    values = midpoints(scatter=0.0)
    values.loc[0, "fc1"] = values.loc[2, "relu2"] = np.nan
    model = AdditiveModel(values.assign(empty=np.nan))
    assert list(model.effects.index) == POINTS
    assert np.diff(model.effects) == pytest.approx(np.full(5, 0.2))
    assert model.freedom == 8
    wide = AdditiveModel(midpoints().mask(values.isna())).pairs
    assert wide.error["fc1", "relu2"] > 0
    assert wide.freedom["fc1", "relu2"] > 0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (midpoints(1), "6 columns with 1 repetitions"),
        (midpoints()[["fc1"]], "1 columns with 3 repetitions"),
        (pd.DataFrame({"a": [1.0, 1.1, np.nan, np.nan], "b": [np.nan, np.nan, 1.0, 1.2]}), "share no repetition"),
    ],
)
def test_refused_values(values: pd.DataFrame, message: str):
    with pytest.raises(AnalysisError, match=message):
        AdditiveModel(values)


def test_paired_ratios_and_their_mean():
    differences = midpoints() - midpoints(seed=1)
    ratios = paired_ratios(differences).ratios()
    mean = mean_ratio(differences).ratios().loc["mean"]
    assert ratios["ratio"].to_numpy() == pytest.approx((10 ** differences.mean()).to_numpy())
    assert ((ratios["low"] < ratios["ratio"]) & (ratios["ratio"] < ratios["high"])).all()
    expected = stats.ttest_1samp(differences.mean(axis=1), 0).confidence_interval(0.95)
    assert np.log10(mean[["low", "high"]].to_numpy(float)) == pytest.approx([expected.low, expected.high])


def test_few_differences_have_their_own_t_intervals():
    differences = midpoints()[["fc1", "fc2"]]
    assert paired_ratios(differences).freedom.tolist() == [2, 2]


def test_equal_midpoints_have_no_width():
    values = midpoints(scatter=0.0)
    assert AdditiveModel(values).pairs.half_width().max() < 1e-12


@pytest.mark.parametrize("scatter", ["equal", "alternating"])
def test_coverage(scatter: str):
    """Three seeds, seed correlation 0.9. ``python -m tests.coverage.contrasts`` has all cells."""
    measured = coverage(120, 3, 5, 0.9, scatter)
    assert measured["single"] > 0.92
    assert measured["simultaneous"] > 0.91
    assert measured["weakest"] > 0.92
