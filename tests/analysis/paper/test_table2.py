from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.paper import table2

LEVELS = (0.0, *np.logspace(-1, 4, 11))
PAPER = {"data.name": "cifar10", "model.name": "lenet5", "training.epochs": 300}
MIDPOINTS = {None: 100.0, 1.0: 1.0}


@pytest.fixture(scope="module")
def clamped(request: pytest.FixtureRequest):
    """LeNet-5 with BatchNorm, without and with clamping, at points after layers and elsewhere."""
    study = request.getfixturevalue("whole_study").__class__()
    for clamp, mu in MIDPOINTS.items():
        for point in (1, 2, 5, 9, 12, 15):
            settings = {**PAPER, "model.batch_norm": True, "noise.point": point, "training.weight_clamp": clamp}
            study.series(settings, mu, LEVELS, between=0.0)
    return study


def test_each_layer_has_a_ratio_and_the_papers_value(clamped):
    table = table2.numbers(table2.weight_ratios(clamped.analyse().fitted_series))
    assert table["layer"].tolist() == [1, 2, 3, 4, 5]
    assert table["name"].tolist() == ["conv1", "conv2", "fc1", "fc2", "fc3"]
    assert table["noise.point"].tolist() == [1, 5, 9, 12, 15]
    assert table["paper"].tolist() == [51, 30, 13, 24, 18]
    assert (table["free_used"] == 3).all()


def test_each_series_uses_the_level_closest_to_its_midpoint(clamped):
    first = table2.weight_ratios(clamped.analyse().fitted_series)[0]
    assert first.free.level == pytest.approx(100)
    assert first.clamped.level == pytest.approx(1)
    # Free weights are 0.05 (1 + level), times 1, 1.01 and 1.02 for the repetitions; clamped ones lack (1 + level).
    assert first.value == pytest.approx(101)
    assert first.free.std / first.free.mean == pytest.approx(0.01 / 1.01)
    assert first.std == pytest.approx(101 * np.sqrt(2) * 0.01 / 1.01)


def test_points_without_batch_norm(fake_study):
    study = fake_study()
    for clamp, mu in MIDPOINTS.items():
        for point in (0, 1, 4, 7, 9, 11):
            study.series({**PAPER, "noise.point": point, "training.weight_clamp": clamp}, mu, LEVELS)
    table = table2.numbers(table2.weight_ratios(study.analyse().fitted_series))
    assert table["noise.point"].tolist() == [1, 4, 7, 9, 11]
    assert table["paper"].tolist() == [1.7, 0.87, 1.1, 0.6, 1.1]


def test_other_models_have_their_layers_and_no_printed_value(fake_study):
    study = fake_study()
    for clamp, mu in MIDPOINTS.items():
        for point in (1, 7):
            study.series({"noise.point": point, "training.weight_clamp": clamp}, mu, LEVELS)
    table = table2.numbers(table2.weight_ratios(study.analyse().fitted_series))
    assert table["name"].tolist() == ["fc1", "fc4"]
    assert table["layer"].tolist() == [1, 4]
    assert table["paper"].isna().all()


def test_caption_states_why_a_ratio_is_missing(fake_study, tmp_path: Path):
    study = fake_study()
    study.series({"noise.point": 1}, 100.0, LEVELS, repetitions=1)
    study.series({"noise.point": 1, "training.weight_clamp": 1.0}, 1.0, LEVELS, a_min=0.95)
    for document in study.documents:
        if document["config"]["noise"]["std"] > 50:
            document["result"]["mean_abs_weight"]["fc1"] = None
    (table,) = table2.make(study.analyse(), tmp_path)
    assert "μ outside the sampled levels" in table.caption
    assert "no run at that level of the series has finite weights" in table.caption
    ratio = table.texts.set_index("")["layer 1"]
    assert ratio["ratio"] == "–"
    assert ratio["runs"] == "0 of 1 / 0 of 36"


def test_only_pairs_trained_with_noise_have_a_ratio(fake_study, tmp_path: Path):
    study = fake_study()
    study.series({"noise.point": 1, "training.weight_clamp": 1.0}, 1.0, LEVELS)
    study.series({"noise.point": 4}, 1.0, LEVELS)
    for clamp in MIDPOINTS:
        study.series(
            {"noise.point": 1, "noise.in_training": False, "training.epochs": 5, "training.weight_clamp": clamp},
            1.0,
            LEVELS,
        )
    assert table2.make(study.analyse(), tmp_path) == []


def test_table_is_written(clamped, tmp_path: Path):
    (table,) = table2.make(clamped.analyse(), tmp_path)
    layers = [f"layer {number}" for number in range(1, 6)]
    assert list(table.texts.columns) == ["data set", "model", "BatchNorm", "noise", "", *layers]
    assert table.texts[""].tolist() == ["ratio", "paper", "point", "levels", "runs"]
    assert table.texts["layer 1"].tolist() == ["101.0 ± 1.4", "51", "1 conv1", "100 / 1.00", "3 of 3 / 3 of 3"]
    assert len(pd.read_csv(tmp_path / "table2.csv")) == 5
    assert r"$\pm$" in (tmp_path / "table2.tex").read_text()
