from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from analysis.figures import quantities
from analysis.figures.layout.style import style
from analysis.midpoints.study import Study
from walking_noise import RunConfig

LEVELS = (0.0, 0.1, 1.0, 10.0)


def add_learning(study, **shared: object) -> None:
    """Additive noise, inference only with a signal of 2, trained with a signal of 2 + level and heavier weights."""
    for in_training in (True, False):
        for level in LEVELS:
            for seed in range(3):
                settings = {**shared, "noise.std": level, "noise.in_training": in_training, "seed": seed}
                points = RunConfig.from_dict(settings).points
                spread = 2.0 + (level + 0.1 * seed) * in_training
                study.complete(
                    settings, 0.9, audit={"inference": {"signal": [spread] * len(points)}},
                    mean_abs_weight={"fc1": 0.05 * (1 + level * in_training), "fc2": 0.05, "fc3": None, "fc4": 0.05},
                )  # fmt: skip


@pytest.fixture
def learned(fake_study) -> Study:
    study = fake_study()
    for point in (0, 1, 3):
        add_learning(study, **{"noise.point": point})
    analysed: Study = study.analyse()
    return analysed


def test_signal_to_noise_of_walking_noise_is_that_of_the_noisy_point(learned: Study, tmp_path: Path):
    with style():
        (plot,) = quantities.draw_signal(learned, tmp_path)
    table = pd.read_csv(tmp_path / f"{plot.name}.csv")
    assert sorted(set(table["point"])) == [0, 1, 3]
    assert 0.0 not in set(table["level"])
    at_1 = table[(table["point"] == 1) & (table["level"] == 10.0)].set_index("series")[["mean", "low", "high"]]
    assert list(at_1.loc["trained with noise"]) == pytest.approx([1.21, 1.2, 1.22])
    assert list(at_1.loc["inference only"]) == pytest.approx([0.2] * 3)
    assert "Runs used: 72 of 72" in plot.caption
    assert (tmp_path / f"{plot.name}.pdf").read_bytes().startswith(b"%PDF")


def test_weights_are_those_of_the_layer_before_the_point(learned: Study, tmp_path: Path):
    with style():
        (plot,) = quantities.draw_weights(learned, tmp_path)
    table = pd.read_csv(tmp_path / f"{plot.name}.csv").set_index(["series", "name", "level"])
    assert set(table.reset_index()["name"]) == {"fc1", "fc2"}
    assert table.loc[("trained with noise", "fc1", 1.0), "mean"] == pytest.approx(0.1)
    assert table.loc[("inference only", "fc1", 1.0), "mean"] == pytest.approx(0.05)
    assert 0.0 in set(table.reset_index()["level"])


def test_global_noise_is_drawn_at_every_noisy_point(fake_study, tmp_path: Path):
    study = fake_study()
    add_learning(study, **{"model.batch_norm": True, "noise.on_batch_norm": False})
    with style():
        (plot,) = quantities.draw_signal(study.analyse(), tmp_path)
    table = pd.read_csv(tmp_path / f"{plot.name}.csv")
    assert plot.name.endswith("-global")
    assert sorted(set(table["point"])) == [0, 1, 3, 4, 6, 7, 9, 10]


def test_multiplicative_noise_shows_the_signal_itself(fake_study, tmp_path: Path):
    study = fake_study()
    add_learning(study, **{"noise.kind": "multiplicative", "noise.point": 1})
    with style():
        (plot,) = quantities.draw_signal(study.analyse(), tmp_path)
    table = pd.read_csv(tmp_path / f"{plot.name}.csv").set_index(["series", "level"])
    assert table.loc[("trained with noise", 10.0), "mean"] == pytest.approx(12.1)
    assert "1/level" in plot.caption


def test_runs_without_measurements_draw_nothing(fake_study, tmp_path: Path):
    study = fake_study()
    for level in LEVELS:
        study.complete({"noise.std": level, "noise.point": 1}, 0.9, audit={}, mean_abs_weight={})
    for draw in (quantities.draw_signal, quantities.draw_weights):
        assert draw(study.analyse(), tmp_path) == []


def test_a_signal_that_overflowed_is_left_out(fake_study, tmp_path: Path):
    study = fake_study()
    for seed, spread in enumerate((2.0, None)):
        settings = {"noise.std": 1.0, "noise.point": 1, "seed": seed}
        study.complete(settings, 0.9, audit={"inference": {"signal": [spread] * 8}})
    with style():
        (plot,) = quantities.draw_signal(study.analyse(), tmp_path)
    (row,) = pd.read_csv(tmp_path / f"{plot.name}.csv").to_dict("records")
    assert (row["n"], row["planned"], row["mean"]) == (1, 2, 2.0)


def test_a_dead_layer_is_kept_in_the_numbers(fake_study, tmp_path: Path):
    study = fake_study()
    for level, spread in ((0.1, 2.0), (1.0, 0.0)):
        settings = {"noise.std": level, "noise.point": 1}
        study.complete(settings, 0.9, audit={"inference": {"signal": [spread] * 8}})
    with style():
        (plot,) = quantities.draw_signal(study.analyse(), tmp_path)
    assert pd.read_csv(tmp_path / f"{plot.name}.csv")["mean"].tolist() == [20.0, 0.0]
    assert "0 lies below the axis" in plot.caption
