from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from scipy import stats

from analysis.figures import preserved_accuracy
from analysis.intervals import Estimate, ratio_of_means
from analysis.midpoints.maximum_noise import accuracy_at_maximum_noise

T_2 = 4.302653
"""97.5 % quantile of the t distribution with two degrees of freedom."""

BASE = {"model.batch_norm": True, "noise.kind": "multiplicative"}


def add_maximum(study, shared: dict[str, Any] | None = None, *, repetitions: int = 3) -> None:
    """Runs without noise around 0.8, and runs at 1e10 at points 1 and 10 around 0.56 and 0.2."""
    for seed in range(repetitions):
        study.complete(
            {**(shared or {}), "model.batch_norm": True, "noise.kind": "none", "seed": seed}, 0.79 + 0.01 * seed
        )
        for point in (1, 10):
            settings = {**BASE, **(shared or {}), "noise.point": point, "noise.std": 1e10, "seed": seed}
            study.complete(settings, 0.6 - 0.04 * point + 0.02 * (seed - 1))


def ends(estimate: Estimate) -> tuple[float, float, float]:
    return estimate.value, estimate.low, estimate.high


def test_preserved_accuracy_is_relative_to_the_accuracy_without_noise(fake_study):
    study = fake_study()
    add_maximum(study)
    first, last = accuracy_at_maximum_noise(study.analyse())
    assert (first.point, last.point) == (1, 10)
    half = T_2 * 0.02 / math.sqrt(3)
    assert ends(first.accuracy) == pytest.approx((0.56, 0.56 - half, 0.56 + half))
    half = T_2 * 0.01 / math.sqrt(3)
    assert ends(first.without_noise) == pytest.approx((0.80, 0.80 - half, 0.80 + half))
    # In each repetition the accuracies are 0.02 k above 0.56 and 0.01 k above 0.80, with k = -1, 0, 1.
    half = T_2 * (0.02 - 0.7 * 0.01) / 0.8 / math.sqrt(3)
    assert ends(first.preserved) == pytest.approx((0.7, 0.7 - half, 0.7 + half))


def test_ratio_to_other_repetitions_has_the_interval_of_welch():
    numerator, denominator = pd.Series([0.50, 0.54, 0.61], ["0", "1", "2"]), pd.Series([0.80, 0.83], ["7", "8"])
    ratio = numerator.mean() / denominator.mean()
    errors = numerator.var() / 3 / denominator.mean() ** 2, ratio**2 * denominator.var() / 2 / denominator.mean() ** 2
    freedom = sum(errors) ** 2 / (errors[0] ** 2 / 2 + errors[1] ** 2 / 1)
    half = stats.t.ppf(0.975, freedom) * math.sqrt(sum(errors))
    assert ends(ratio_of_means(numerator, denominator)) == pytest.approx((ratio, ratio - half, ratio + half))
    assert math.isnan(ratio_of_means(numerator, denominator[:1]).low)


def test_highest_level_that_did_not_overflow_counts(fake_study):
    study = fake_study()
    settings = {**BASE, "noise.point": 1}
    study.complete({**settings, "noise.std": 1e9}, 0.9)
    study.complete({**settings, "noise.std": 1e12}, 0.7)
    study.complete({**settings, "noise.std": 1e16}, 0.1, outcome="overflow", overflow_epoch=2)
    study.complete({**settings, "noise.point": 2, "noise.std": 1e9}, 0.9)
    study.complete({**settings, "noise.point": "global", "noise.std": 1e12}, 0.9)
    (only,) = accuracy_at_maximum_noise(study.analyse())
    assert (only.level, only.accuracy.value) == (1e12, 0.7)
    assert math.isnan(only.accuracy.low)
    assert only.overflown == 1


def test_caption_states_the_levels_and_rounding_does_not_matter(fake_study, tmp_path: Path):
    study = fake_study()
    study.complete({**BASE, "noise.kind": "none"}, 0.9)
    for seed in range(3):
        study.complete({**BASE, "noise.point": 1, "noise.std": math.nextafter(1e10, 0), "seed": seed}, 0.5)
        study.complete({**BASE, "noise.point": 2, "noise.std": 1e12, "seed": seed}, 0.5)
        study.complete({**BASE, "noise.point": 2, "noise.std": 1e16, "seed": seed}, 0.1, outcome="overflow")
    analysed = study.analyse()
    (accuracy,) = preserved_accuracy.draw(analysed, tmp_path)
    assert "usable runs, 1.00e10 to 1.00e12. Runs used at maximum noise: 6 of 6; left out" in accuracy.caption
    assert "higher levels: 3; repetitions without noise: 1." in accuracy.caption
    assert "Without an interval" not in accuracy.caption
    (preserved,) = preserved_accuracy.draw_preserved(analysed, tmp_path, number=5)
    assert "Without an interval, one repetition: 2 of 2 points" in preserved.caption
    assert not preserved.title.startswith("Figure")


def test_zero_accuracy_has_an_interval_of_width_0(fake_study):
    study = fake_study()
    for seed, accuracy in enumerate((0.79, 0.80, 0.81)):
        study.complete({**BASE, "noise.kind": "none", "seed": seed}, accuracy)
        study.complete({**BASE, "noise.point": 1, "noise.std": 1e10, "seed": seed}, 0.0)
    (only,) = accuracy_at_maximum_noise(study.analyse())
    assert ends(only.preserved) == (0.0, 0.0, 0.0)


def test_accuracy_per_point_is_drawn_with_a_min_and_its_interval(fake_study, tmp_path: Path):
    study = fake_study()
    add_maximum(study)
    levels = [10.0**power for power in range(-1, 10)]
    study.series({**BASE, "noise.point": 1}, 2.0, levels, a_min=0.56)
    (plot,) = preserved_accuracy.draw(study.analyse(), tmp_path)
    table = pd.read_csv(tmp_path / f"{plot.name}.csv")
    assert table["point"].tolist() == ["1 fc1", "10 fc4"]
    assert table["a_min"].tolist() == pytest.approx([0.56, math.nan], abs=0.01, nan_ok=True)
    assert table["a_min_low"][0] <= table["a_min"][0] <= table["a_min_high"][0] <= table["a_min_low"][0] + 0.1
    assert table["used"].tolist() == table["planned"].tolist() == [3, 3]
    assert "Runs used at maximum noise: 6 of 6; repetitions without noise: 3." in plot.caption


def test_data_sets_share_the_figure_of_a_model(fake_study, tmp_path: Path):
    study = fake_study()
    add_maximum(study, {"data.name": "mnist", "training.epochs": 100})
    add_maximum(study, {"data.name": "cifar10", "training.epochs": 200})
    add_maximum(study, {"data.name": "cifar10", "model.name": "lenet5", "training.epochs": 300}, repetitions=1)
    analysed = study.analyse()
    (mlp,) = preserved_accuracy.draw_preserved(analysed, tmp_path, number=5)
    (lenet5,) = preserved_accuracy.draw_preserved(analysed, tmp_path, number=8)
    assert preserved_accuracy.draw_preserved(analysed, tmp_path, number=9) == []
    assert mlp.title == "Figure 5. MLP, multiplicative noise: preserved relative accuracy at maximum noise"
    assert lenet5.title.startswith("Figure 8. LeNet-5")
    assert set(pd.read_csv(tmp_path / f"{mlp.name}.csv")["series"]) == {"MNIST", "CIFAR-10"}
    assert "Without an interval, one repetition: 2 of 2 points" in lenet5.caption


def test_one_data_set_trained_in_two_ways_has_two_series(fake_study, tmp_path: Path):
    study = fake_study()
    for epochs in (5, 20):
        add_maximum(study, {"training.epochs": epochs})
    (plot,) = preserved_accuracy.draw_preserved(study.analyse(), tmp_path, number=5)
    assert set(pd.read_csv(tmp_path / f"{plot.name}.csv")["series"]) == {"5 epochs", "20 epochs"}


def test_nothing_is_preserved_without_a_reference(fake_study, tmp_path: Path):
    study = fake_study()
    study.complete({**BASE, "noise.point": 1, "noise.std": 1e10}, 0.6)
    study.complete({**BASE, "noise.point": 2, "noise.std": 1e10, "noise.in_training": False}, 0.6)
    assert preserved_accuracy.draw_preserved(study.analyse(), tmp_path, number=5) == []
    assert len(preserved_accuracy.draw(study.analyse(), tmp_path)) == 1
