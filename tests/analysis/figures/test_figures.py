from __future__ import annotations

import dataclasses
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest
from fontTools import subset  # type: ignore[import-untyped]
from matplotlib.figure import Figure
from PIL import Image

from analysis.figures import midpoints_by_point, robustness_curves
from analysis.figures.layout.panels import batch_norm_panels, legend_handles, panel_grid
from analysis.figures.layout.style import (
    Plot,
    color_and_marker,
    drawn_levels,
    legend_columns,
    level_text,
    level_ticks,
    line_style,
    scale_levels,
    style,
    tick_texts,
)
from analysis.figures.training import epochs
from analysis.midpoints.study import Study
from analysis.report.report_items import make_all
from tests.analysis.conftest import FakeStudy, add_global, add_odd_ones, add_walking
from tests.analysis.test_every_estimate import check_columns, check_texts
from walking_noise import RunConfig


def plots_of(study: Study, folder: Path) -> dict[str, list[Plot]]:
    """The figures of every item that has some, by its number."""
    made = {
        item.number: [part for part in parts or () if isinstance(part, Plot)] for item, parts in make_all(study, folder)
    }
    return {number: plots for number, plots in made.items() if plots}


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory):
    """The folder of all figures of a study with all kinds of runs, what was drawn, and the study."""
    folder = tmp_path_factory.mktemp("figures")
    fake = FakeStudy()
    add_global(fake)
    add_walking(fake, points=(0, 3, 7, 8, 10))
    add_odd_ones(fake)
    fake.keep_quantities_of(point=3)
    study = fake.analyse()
    return folder, plots_of(study, folder), study


def test_every_figure_is_drawn_in_three_files(figures):
    folder, plots, _ = figures
    names = [plot.name for group in plots.values() for plot in group]
    assert len(names) == len(set(names))
    assert {path.name for path in folder.iterdir() if path.suffix in (".pdf", ".png")} == {
        f"{name}.{kind}" for name in names for kind in ("pdf", "png")
    }
    assert all((folder / f"{name}.csv").is_file() for name in names)


def test_size_of_a_figure_is_the_aspect_ratio_of_its_picture(figures):
    folder, plots, _ = figures
    for plot in (plot for group in plots.values() for plot in group):
        with Image.open(folder / f"{plot.name}.png") as image:
            assert image.width / image.height == pytest.approx(plot.width / plot.height, rel=0.005)


def test_pictures_show_something(figures):
    folder, _, _ = figures
    for path in folder.glob("*.png"):
        with Image.open(path) as image:
            assert image.width >= 1000
            colors = np.asarray(image.convert("RGB"))
            assert (np.ptp(colors, axis=2) > 50).sum() > 500  # text and axes are grey
            assert (colors == 255).all(axis=2).any()
            assert "Software" not in image.info
    for path in folder.glob("*.pdf"):
        assert path.read_bytes().startswith(b"%PDF")
        assert b"CreationDate" not in path.read_bytes()


def test_numbers_of_the_robustness_curves_are_the_data(figures):
    folder, _, study = figures
    (path,) = folder.glob("robustness-*additive*-global.csv")
    table = pd.read_csv(path)
    assert set(table["series"]) == {"without BatchNorm", "with BatchNorm"}
    curve = study.fitted_series[0].series.curve
    ours = table[table["series"] == "without BatchNorm"]
    assert ours["mean"].tolist() == pytest.approx(curve["mean"].tolist(), rel=1e-5, nan_ok=True)
    assert ours["overflow"].sum() == 1
    assert abs(ours["fit"] - ours["mean"]).max() < 0.05


def test_estimates_of_all_files_lie_in_their_intervals(figures):
    folder, _, _ = figures
    paths = list(folder.glob("*.csv"))
    assert len(paths) > 10
    for path in paths:
        check_columns(pd.read_csv(path))
    for path in folder.glob("*.tex"):
        check_texts(path.read_text())


def test_midpoints_per_point_are_marked(figures):
    folder, _, _ = figures
    (path,) = folder.glob("points-*.csv")
    table = pd.read_csv(path).set_index(["series", "point"])
    trained = table.loc["trained with noise"]
    assert len(table) == 10
    assert (table.loc["inference only"]["drawn_as"] == "filled").all()
    assert trained.loc[["3 relu1", "7 fc3"], "drawn_as"].tolist() == ["above", "above"]
    assert trained.loc[["8 bn3", "10 fc4"], "drawn_as"].tolist() == ["hollow", "hollow"]
    assert trained.loc["0 input", "drawn_as"] == "filled"
    (plot,) = figures[1]["Figures 10 and 11"]
    assert "other than those for few repetitions" in plot.caption


def test_accuracy_over_the_epochs(figures):
    folder, _, _ = figures
    (path,) = folder.glob("epochs-*.csv")
    table = pd.read_csv(path)
    assert table.groupby(["series", "level"])["epoch"].max().eq(20).all()
    rising = table[(table["level"] == 0) & (table["series"] == "with BatchNorm")]["mean"]
    assert rising.is_monotonic_increasing


def test_curves_over_the_epochs_may_end_early(fake_study, tmp_path: Path):
    study = fake_study()
    for seed, curve in enumerate(([0.2, 0.4, 0.6], [0.4, 0.6], [0.6])):
        study.complete({"noise.std": 1.0, "seed": seed, "evaluation.curve": True}, 0.5, validation_curve=curve)
    (plot,) = epochs.draw(study.analyse(), tmp_path)
    table = pd.read_csv(tmp_path / f"{plot.name}.csv")
    assert table["n"].tolist() == [3, 2, 1]
    assert table["mean"].tolist() == pytest.approx([0.4, 0.5, 0.6])
    assert table["std"].tolist() == pytest.approx([0.2, 0.02**0.5, float("nan")], rel=1e-5, nan_ok=True)


def test_settings_at_their_defaults_stay_out_of_file_names(fake_study, tmp_path: Path):
    def drawn_of(study) -> list[Plot]:
        return robustness_curves.draw_global(study.analyse(), tmp_path)

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
    assert plots_of(study.analyse(), tmp_path) == {}


def test_sparse_series_are_drawn(fake_study, tmp_path: Path):
    study = fake_study()
    study.complete({"noise.std": 0.0, "evaluation.curve": True}, 0.9, validation_curve=[0.5] * 20)
    study.complete({"noise.std": 2.0, "evaluation.curve": True}, 0.9, validation_curve=[0.4] * 20)
    study.complete({"noise.std": 1.0, "noise.point": 2}, 0.9)
    study.complete({"noise.std": 0.0, "noise.point": 3}, 0.9)
    plots = plots_of(study.analyse(), tmp_path)
    assert set(plots) >= {"Figure 1", "Figure 6"}
    assert {"Figures 10 and 11", "Walking noise"}.isdisjoint(plots)


def test_walking_curves_are_drawn_together_with_series_of_one_level(fake_study, tmp_path: Path):
    study = fake_study()
    study.series({"noise.point": 2}, 2.0, (0.1, 0.5, 1.0, 4.0, 10.0), repetitions=1)
    study.complete({"noise.point": 3, "noise.std": 1e10}, 0.9)
    study.complete({"noise.kind": "multiplicative", "noise.point": 3, "noise.std": 1e10}, 0.9)
    (plot,) = robustness_curves.draw_walking(study.analyse(), tmp_path)
    assert set(pd.read_csv(tmp_path / f"{plot.name}.csv")["point"]) == {"2 relu1", "3 fc2"}


@pytest.mark.parametrize(
    ("labels", "columns"),
    [(["a"], 1), (["inference only", "trained with noise"], 2), (["a" * 40] * 4, 2), (["a" * 200], 1)],
)
def test_legend_is_not_cut_off(labels: list[str], columns: int):
    assert legend_columns(labels) == columns


def test_many_series_of_a_figure_can_be_told_apart():
    numbers = range(21)
    assert len({(color_and_marker(number)[0], line_style(number)) for number in numbers}) == len(numbers)
    assert len({color_and_marker(number) for number in numbers}) == len(numbers)


@pytest.mark.usefixtures("without_pictures")
def test_figures_of_the_paper_have_its_number(fake_study, tmp_path: Path):
    study = fake_study()
    lenet5 = {"data.name": "cifar10", "model.name": "lenet5", "training.epochs": 300}
    for settings in (lenet5, {}):
        study.series({**settings, "noise.point": 3}, 2.0, (0.1, 0.5, 1.0, 2.0, 4.0, 10.0, 100.0))
        study.series(settings, 2.0, (0.1, 0.5, 1.0, 2.0, 4.0, 10.0, 100.0))
    made = plots_of(study.analyse(), tmp_path)
    assert [plot.title for plot in made["Figure 2"]] == [
        "Figure 2. CIFAR-10, LeNet-5, additive noise: midpoint noise level at each point"
    ]
    assert [plot.title.partition(".")[0] for plot in made["Figure 1"]].count("Figure 1") == 1
    assert len(made["Figures 10 and 11"]) == 1
    assert "Figure" not in made["Figures 10 and 11"][0].title


def test_captions_count_the_runs_and_name_single_repetitions(fake_study, tmp_path: Path):
    study = fake_study()
    study.series({}, 2.0, (0.1, 0.5, 1.0, 2.0, 4.0, 10.0), repetitions=1)
    study.complete({"noise.std": 1e4}, 0.1, outcome="overflow", overflow_epoch=1)
    study.add({"noise.std": 1e5}, "PENDING")
    (plot,) = robustness_curves.draw_global(study.analyse(), tmp_path)
    assert plot.caption.endswith(
        "Runs used: 6 of 8; left out for float32 overflow: 1. "
        "Without a spread, since there is one repetition: 1 of 1 series."
    )


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
    assert all(low < x < high for x in drawn_levels(levels))
    assert len(axes.get_xticks()) <= 9


def test_small_axes_have_few_ticks_but_more_than_one():
    assert level_ticks(0.2, 2.0, 4) == pytest.approx([0.2, 0.5, 1, 2])
    assert level_ticks(1e-2, 1e10, 4) == pytest.approx([1e-2, 1e2, 1e6, 1e10])
    assert level_ticks(0.15, 9, 4) == pytest.approx([0.3, 1, 3])
    assert level_ticks(1.1, 4) == pytest.approx([2, 3, 4])
    assert level_ticks(900, 1900) == pytest.approx([1000, 1200, 1400, 1600, 1800])
    for low in np.geomspace(1e-3, 1e3, 200):
        assert all(len(level_ticks(low, low * factor, most)) >= 2 for factor in (1.8, 5, 9, 20, 80) for most in (4, 8))


@pytest.mark.parametrize(
    ("level", "text"),
    [(0.01, "0.01"), (100, "100"), (1e10, "$10^{10}$"), (5e4, r"$5\cdot10^{4}$"), (1800, r"$1.8\cdot10^{3}$")],
)
def test_level_text(level: float, text: str):
    assert level_text(level) == text


@pytest.mark.parametrize(
    ("ticks", "texts"),
    [
        ([0.0, 0.001, 0.1, 100], ["0", "0.001", "0.1", "100"]),
        ([0.0, 0.01, 1, 1000], ["0", "$10^{-2}$", "$10^{0}$", "$10^{3}$"]),
        ([3e-4, 1e-3, 3e-3], [r"$3\cdot10^{-4}$", "$10^{-3}$", r"$3\cdot10^{-3}$"]),
    ],
)
def test_ticks_of_an_axis_have_one_notation(ticks: list[float], texts: list[str]):
    assert tick_texts(ticks) == texts


def test_ticks_over_many_decades_have_equal_distances():
    ticks = np.log10(level_ticks(2e-5, 150, 6))
    assert np.diff(ticks) == pytest.approx(np.full(len(ticks) - 1, ticks[1] - ticks[0]))


def test_panels_of_many_points_get_more_rows_and_long_titles_more_lines():
    titles = ["3 a_point_with_a_name_that_is_longer_than_its_panel", *map(str, range(24))]
    figure, panels = panel_grid(
        titles, 4, 1.2, "level", "accuracy", legend_handles(["a", "b"]), lambda axes: axes.set_xticks([0, 1])
    )
    assert len(panels) == 25
    boxes = [axes.get_window_extent() for axes in panels]
    assert all(box.width / figure.dpi > 1.3 for box in boxes)
    assert all(box.height / figure.dpi == pytest.approx(1.2) for box in boxes)
    shown = [axes.title.get_window_extent() for axes in panels]
    assert all(title.x1 < right.x0 for title, right in zip(shown, boxes[1:4], strict=False))
    assert max(title.y1 for title in shown) < figure.legends[0].get_window_extent().y0
    assert figure.bbox.height >= figure.legends[0].get_window_extent().y1


def test_long_names_and_legends_leave_space_for_the_panels():
    point = dataclasses.replace(RunConfig().points[0], name="a_point_with_a_very_long_name." * 4)
    legend = legend_handles(["a long label of a series, " * 4] * 30)
    with style():
        figure, panels = batch_norm_panels({False: [point], True: [point]}, 2.3, legend)
        boxes = [axes.get_window_extent() for axes in panels.values()]
        assert all(box.height / figure.dpi == pytest.approx(1.0) for box in boxes)
        names = [axes.get_xticklabels()[0].get_window_extent() for axes in panels.values()]
        assert names[0].y0 > boxes[1].y1
        assert names[1].y0 > 0
        assert figure.legends[0].get_window_extent().y0 > boxes[0].y1


def test_equal_bounds_of_a_point_are_written_once(fake_study, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    study = fake_study()
    for in_training, highest in ((True, 4.0), (False, 4.0)):
        study.series({"noise.point": 0, "noise.in_training": in_training}, 1e4, (0.1, 0.2, 0.5, 1.0, 2.0, highest))
        study.series({"noise.point": 1, "noise.in_training": in_training}, 1e4, (0.1, 0.2, 0.5, 1.0, 2 * highest))
    drawn: list[Figure] = []
    monkeypatch.setattr(midpoints_by_point, "save_figure", lambda figure, *_: drawn.append(figure))
    midpoints_by_point.draw_others(study.analyse(), tmp_path)
    texts = [text.get_text() for figure in drawn for axes in figure.axes for text in axes.texts]
    assert texts == ["≥ 4", "≥ 8"]


def test_fonts_in_pdf_leave_out_tables_for_text_layout():
    assert {"GSUB", "GPOS", "GDEF", "kern"} <= set(subset.Options().drop_tables)
