"""Networks with a teacher: figure, quantiles over chips, ratios of midpoints; flag of absorbed offsets."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis.figures.layout.families import Family, families
from analysis.figures.layout.style import style
from analysis.figures.training import distillation
from analysis.midpoints.flags import Flag
from analysis.midpoints.from_python import frame_of
from analysis.midpoints.study import Study, analyse
from tests.walking_noise.conftest import part
from tests.walking_noise.running import HERE
from walking_noise import RunConfig, data, train

SHARED: dict[str, Any] = {"noise.target": "weights", "noise.unit": "range", "noise.redraw": "chip"}
BATCH: dict[str, Any] = {"noise.training_redraw": "batch", "noise.training_std": 0.05, "training.epochs": 4}
TRAININGS: list[dict[str, Any]] = [
    {"noise.in_training": False, "training.epochs": 4},
    BATCH,
    {**BATCH, "training.epochs": 8},
    {**BATCH, "distillation.initialise": True},
    {**BATCH, "distillation.initialise": True, "distillation.soft_label_share": 0.5},
]


@pytest.fixture(scope="module")
def study() -> Study:
    """Real short runs of one network: five kinds of training, six levels at inference on two chips, three seeds."""
    shared = {**SHARED, "evaluation.noise_draws": 2, "training.learning_rate": 3e-3}
    configs = [
        RunConfig.from_dict({**shared, **one, "noise.std": std, "seed": seed})
        for one in TRAININGS for std in (0.0, 0.03, 0.1, 0.3, 1.0, 3.0) for seed in (0, 1, 2)
    ]  # fmt: skip
    few = part(data.load("mnist5k"), 2000, 500)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data, "load", lambda *selection, **settings: few)
        return analyse(frame_of(configs, train(configs, **HERE)))


def test_figure_and_table(study: Study, tmp_path: Path) -> None:
    with style():
        plot, table = distillation.make(study, tmp_path)
    numbers = pd.read_csv(tmp_path / f"{plot.name}.csv")
    assert set(numbers["training"]) == {
        "without noise", "with noise", "with noise, 8 epochs", "from the teacher", "from the teacher, soft labels",
    }  # fmt: skip
    assert set(numbers[numbers["level"] > 0]["draws"]) == {6}
    assert (numbers["quantile_0.05"] <= numbers["quantile_0.95"]).all()
    ratios = pd.read_csv(tmp_path / f"{table.name}.csv")
    assert ((ratios["low"] <= ratios["ratio"]) & (ratios["ratio"] <= ratios["high"])).all()
    assert set(zip(ratios["training"], ratios["compared_with"], strict=True)) >= {
        ("with noise", "without noise"), ("with noise, 8 epochs", "with noise"),
        ("from the teacher", "with noise, 8 epochs"), ("from the teacher, soft labels", "without noise"),
    }  # fmt: skip
    assert (ratios["repetitions"] == 3).all()


def test_the_ratio_is_the_mean_of_the_repetitions(study: Study) -> None:
    (family,) = families(list(study.fitted_series), distillation.WITHIN)
    series = distillation.by_training(family)
    found = {(first, second): estimate for _, first, second, estimate, _ in distillation.ratios(series)}
    noisy, clean = series[0.05, distillation.NOISE], series[0.0, distillation.CLEAN]
    logs = [noisy.fit.repetitions.logs[name] - log for name, log in clean.fit.repetitions.logs.items()]
    assert found[distillation.NOISE, distillation.CLEAN].value == pytest.approx(10 ** np.mean(logs))


def test_series_that_are_not_alike_are_compared_apart(study: Study) -> None:
    """Two temperatures, two kinds of draws and a student without noise in training: no series replaces another."""
    plain = [each.settings for each in study.fitted_series]
    soft = next(one for one in plain if one["distillation.soft_label_share"])
    others = [
        {**soft, "distillation.temperature": 4.0},
        {**next(one for one in plain if one["training.epochs"] == 8), "training.epochs": 40},
        {**soft, "noise.in_training": False, "noise.training_std": None},
        *({**one, "noise.training_redraw": "chip"} for one in plain if one["noise.in_training"]),
    ]
    members: Any = [SimpleNamespace(settings=settings) for settings in (*plain, *others)]
    parts = distillation.comparable(Family("network", "network", members))
    assert len(parts) == 4
    assert len({each.slug for each in parts}) == 4
    for each in parts:
        assert len(distillation.by_training(each)) == len(each.members)
    assert sorted(len(each.members) for each in parts) == [4, 5, 5, 5]


def test_quantiles_over_the_draws_of_all_repetitions() -> None:
    runs = pd.DataFrame({"level": 0.1, "accuracy": [0.5, 0.7], "draw_accuracies": [[0.4, 0.6], [0.7, 0.7]]})
    (row,) = distillation.quantiles(runs).to_dict("records")
    assert row["draws"] == 4
    assert row["quantile_0.5"] == pytest.approx(0.65)
    assert row["mean"] == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("settings", "flagged"),
    [({}, True), ({"noise.training_seed": 7}, False), ({"noise.training_redraw": "batch"}, False)],
)
def test_offsets_that_a_bias_absorbs_give_no_midpoint(settings: dict[str, Any], flagged: bool) -> None:
    configs = [
        RunConfig.from_dict({"noise.redraw": "chip", "training.epochs": 1, "noise.std": std, "seed": seed, **settings})
        for std in (0.1, 1.0, 10.0) for seed in (0, 1)
    ]  # fmt: skip
    (series,) = analyse(frame_of(configs, train(configs, **HERE))).fitted_series
    assert (series.fit.flags == (Flag.ABSORBED,)) == flagged
    assert not flagged or np.isnan(series.fit.mu_plain.value)
