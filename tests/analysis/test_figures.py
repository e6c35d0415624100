from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image

from analysis.figures import FIGURES, Plot, draw_all
from analysis.figures.style import drawn, level_text, scale_levels, style
from analysis.study import Study


@pytest.fixture(scope="module")
def figures(whole_study, tmp_path_factory: pytest.TempPathFactory):
    """The folder of all figures of the whole study, what was drawn, and the study."""
    folder = tmp_path_factory.mktemp("figures")
    study = whole_study.analyse()
    return folder, draw_all(study.fitted, folder), study


def test_every_figure_is_drawn_in_three_files(figures):
    folder, plots, _ = figures
    assert list(plots) == list(FIGURES)
    names = [plot.name for group in plots.values() for plot in group]
    assert len(names) == len(set(names)) == 5
    assert {path.name for path in folder.iterdir()} == {
        f"{name}.{kind}" for name in names for kind in ("pdf", "png", "csv")
    }


def test_pictures_show_something(figures):
    folder, _, _ = figures
    for path in folder.glob("*.png"):
        with Image.open(path) as image:
            assert image.width >= 1000
            assert len(np.unique(np.asarray(image.convert("RGB")).reshape(-1, 3), axis=0)) > 100
            assert "Software" not in image.info
    for path in folder.glob("*.pdf"):
        assert path.read_bytes().startswith(b"%PDF")
        assert b"CreationDate" not in path.read_bytes()


def test_numbers_of_the_robustness_curves_are_the_data(figures):
    folder, _, study = figures
    (path,) = folder.glob("robustness-*additive*-global.csv")
    table = pd.read_csv(path)
    assert set(table["series"]) == {"without BatchNorm", "with BatchNorm"}
    curve = study.fitted[0].series.curve
    ours = table[table["series"] == "without BatchNorm"]
    assert ours["mean"].tolist() == pytest.approx(curve["mean"].tolist(), rel=1e-5, nan_ok=True)
    assert ours["overflow"].sum() == 1
    assert abs(ours["fit"] - ours["mean"]).max() < 0.05


def test_midpoints_per_point_are_marked(figures):
    folder, _, _ = figures
    (path,) = folder.glob("points-*.csv")
    table = pd.read_csv(path).set_index(["series", "point"])
    trained = table.loc["trained with noise"]
    assert len(table) == 22
    assert (table.loc["inference only"]["drawn_as"] == "filled").all()
    assert trained.loc[["3 relu1", "7 fc3"], "drawn_as"].tolist() == ["above", "hollow"]
    assert trained.loc[["8 bn3", "10 fc4"], "drawn_as"].tolist() == ["hollow", "hollow"]
    assert trained.loc["0 input", "drawn_as"] == "filled"


def test_accuracy_over_the_epochs(figures):
    folder, _, _ = figures
    (path,) = folder.glob("epochs-*.csv")
    table = pd.read_csv(path)
    assert table.groupby(["series", "level"])["epoch"].max().eq(20).all()
    rising = table[(table["level"] == 0) & (table["series"] == "with BatchNorm")]["mean"]
    assert rising.is_monotonic_increasing


def test_figures_without_data_say_what_they_need(paper_study: Study, tmp_path: Path):
    plots = draw_all(paper_study.fitted, tmp_path)
    assert "noise.point" in str(plots["Midpoint noise level at each noise point"])
    assert len(plots["Robustness curves under global noise"]) == 2
    assert draw_all([], tmp_path) == {heading: needs for heading, (_, needs) in FIGURES.items()}


def test_settings_at_their_defaults_stay_out_of_file_names(fake_study, tmp_path: Path):
    def drawn_of(study) -> list[Plot]:
        plots = draw_all(study.analyse().fitted, tmp_path)["Robustness curves under global noise"]
        assert isinstance(plots, list)
        return plots

    study = fake_study()
    study.complete({"noise.std": 1.0}, 0.9)
    (alone,) = drawn_of(study)
    study.complete({"noise.std": 1.0, "training.learning_rate": 0.01}, 0.9)
    beside, other = drawn_of(study)
    assert "learning rate 0.001" in beside.title
    assert beside.name == alone.name
    assert other.name == alone.name.replace("-global", "-learning-rate-0-01-global")


def test_series_without_results_are_left_to_the_tables(fake_study, tmp_path: Path):
    study = fake_study()
    study.add({"noise.std": 1.0}, "PENDING")
    study.add({"noise.std": 1.0, "noise.point": 2}, "PENDING")
    assert all(isinstance(needs, str) for needs in draw_all(study.analyse().fitted, tmp_path).values())


def test_sparse_series_are_drawn(fake_study, tmp_path: Path):
    study = fake_study()
    study.complete({"noise.std": 0.0, "evaluation.curve": True}, 0.9, validation_curve=[0.5] * 20)
    study.complete({"noise.std": 2.0, "evaluation.curve": True}, 0.9, validation_curve=[0.4] * 20)
    study.complete({"noise.std": 1.0, "noise.point": 2}, 0.9)
    study.complete({"noise.std": 0.0, "noise.point": 3}, 0.9)
    plots = draw_all(study.analyse().fitted, tmp_path)
    without_midpoint = plots.pop("Midpoint noise level at each noise point")
    assert "five levels" in str(without_midpoint)
    assert all(isinstance(group, list) and len(group) == 1 for group in plots.values())


def test_style_does_not_depend_on_the_users():
    matplotlib.rcParams["font.size"] = 31
    with style():
        assert matplotlib.rcParams["font.size"] == 8
    assert matplotlib.rcParams["font.size"] == 31
    matplotlib.rcdefaults()


@pytest.mark.parametrize(
    "levels", [[0.0, 0.1, 2.0], [1e-2, 1e10], [1.0, 1e16], [0.5], [0.0]], ids=["linear", "wide", "wider", "one", "none"]
)
def test_level_axis_shows_every_level(levels: list[float]):
    axes = Figure().subplots()
    scale_levels(axes, levels)
    low, high = axes.get_xlim()
    assert all(low < x < high for x in drawn(levels))
    assert len(axes.get_xticks()) <= 9


@pytest.mark.parametrize(
    ("level", "text"), [(0.01, "0.01"), (100, "100"), (1e10, "$10^{10}$"), (5e4, r"$5\cdot10^{4}$")]
)
def test_level_text(level: float, text: str):
    assert level_text(level) == text
