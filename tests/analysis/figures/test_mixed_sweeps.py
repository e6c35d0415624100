from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from analysis.figures.layout.scales import Scale, ratio_text
from analysis.figures.layout.style import Plot, style
from analysis.figures.mixed import mixed_maps, mixed_points, mixed_ratio
from analysis.figures.mixed.mixed_sweeps import AMPLITUDE_AND_RATIO, BOTH_LEVELS, OUR_READING, sweeps
from analysis.midpoints.study import Study
from tests.analysis.conftest import FakeStudy
from tests.analysis.mixing import ORDERS, add_both_levels, add_noise_free, add_ratios

LEVELS = (0.1, 0.5, 0.9, 1.3, 1.7, 2.1)
RATIOS = (1e-17, 1e-3, 0.01, 0.1, 0.5, 0.9, 0.99, 1 - 1e-6, 1.0)
BATCH_NORM: dict[str, Any] = {"model.batch_norm": True}
AT_5: dict[str, Any] = {"noise.point": 5}


@pytest.fixture(scope="module")
def mixed_study():

    study = FakeStudy()
    add_noise_free(study, **BATCH_NORM)
    add_both_levels(study, LEVELS, **BATCH_NORM, **AT_5)
    add_ratios(study, [0, 3, 5], RATIOS, **BATCH_NORM)
    return study


def table_of(plot: Plot, folder: Path) -> pd.DataFrame:
    assert {path.suffix for path in folder.glob(f"{plot.name}.*")} == {".pdf", ".png", ".csv"}
    assert plot.caption.startswith(OUR_READING)
    return pd.read_csv(folder / f"{plot.name}.csv")


def test_sweeps_hold_both_orders_and_every_pair_of_levels(mixed_study):
    found = sweeps(mixed_study.analyse())
    assert [(sweep.axes, sweep.settings["noise.point"]) for sweep in found] == [
        *((AMPLITUDE_AND_RATIO, point) for point in (0, 3, 5)), (BOTH_LEVELS, 5),
    ]  # fmt: skip
    cells = found[-1].cells
    assert len(cells) == 2 * len(LEVELS) ** 2
    assert cells["n"].eq(2).all()
    assert found[-1].settings["noise.order"] is None


def test_runs_without_a_result_are_counted_in_their_cell(fake_study):
    study = fake_study()
    given = {"noise.kind": "mixed", "noise.std_mul": 1.0, "noise.std_add": 2.0}
    study.complete(given, 0.5)
    study.complete({**given, "seed": 1}, 0.1, outcome="overflow", overflow_epoch=1)
    study.add({**given, "seed": 2}, "FAILED", fail_trace=["x"])
    (sweep,) = sweeps(study.analyse())
    (cell,) = sweep.cells.to_dict("records")
    assert (cell["x"], cell["y"], cell["n"], cell["planned"], cell["overflow"]) == (1.0, 2.0, 1, 3, 1)
    assert cell["mean"] == 0.5


def test_map_of_both_levels_shows_where_the_orders_differ(mixed_study, tmp_path: Path):
    with style():
        (plot,) = mixed_maps.draw(mixed_study.analyse(), tmp_path)
    table = table_of(plot, tmp_path)
    assert "point 5 (bn2)" in plot.title
    assert "Runs used: 144 of 144." in plot.caption
    assert {"noise.std_mul", "noise.std_add", "std", "difference", "error"} <= set(table)
    apart = table[["noise.std_mul", "noise.std_add"]].min(axis=1) > 1
    assert table["difference"][apart].between(-0.12, -0.08).all()
    assert table["difference"][~apart].abs().max() < 0.02


def test_map_is_drawn_with_gaps_but_not_of_a_few_curves(fake_study, tmp_path: Path):
    gaps, curves = fake_study(), fake_study()
    amplitudes = [10.0**power for power in range(6)]
    for amplitude in amplitudes:
        add_ratios(gaps, ["global"], RATIOS[:6] if amplitude != 100 else RATIOS[:1], amplitude, seeds=[0])
        add_ratios(curves, [2], RATIOS[:1], amplitude, seeds=[0])
    add_ratios(curves, [2], RATIOS[:6], amplitudes[-1], seeds=[0])
    with style():
        (plot,) = mixed_maps.draw(gaps.analyse(), tmp_path)
        assert mixed_maps.draw(curves.analyse(), tmp_path) == []
    assert "all points" in plot.title
    assert "Hatched: no runs; ×: float32 overflow in all runs." in plot.caption
    assert "One repetition: no standard deviation." in plot.caption
    assert len(table_of(plot, tmp_path)) == 2 * (5 * 6 + 1)


def test_preserved_accuracy_is_relative_to_the_runs_without_noise(mixed_study, tmp_path: Path):
    with style():
        (plot,) = mixed_ratio.draw(mixed_study.analyse(), tmp_path)
    table = table_of(plot, tmp_path)
    assert len(table) == 3 * len(RATIOS) * len(ORDERS)
    half = table[table["ratio"] == 0.5]
    assert half["preserved"].tolist() == pytest.approx([(0.9 - 0.39) / 0.96] * 6, rel=1e-4)
    assert half["std"].tolist() == pytest.approx([np.hypot(0.004 / 0.51, 0.002 / 0.96) * 0.51 / 0.96] * 6, rel=1e-4)
    assert "the 3 runs without noise" in plot.caption


def test_preserved_accuracy_needs_runs_without_noise_and_maximum_noise(fake_study, tmp_path: Path):
    no_reference, too_low = fake_study(), fake_study()
    add_ratios(no_reference, [0], RATIOS, seeds=[0])
    add_noise_free(too_low)
    add_ratios(too_low, [0], RATIOS, amplitude=1e9, seeds=[0])
    for study in (no_reference, too_low):
        assert mixed_ratio.draw(study.analyse(), tmp_path) == []


def test_midpoint_amplitudes_are_drawn_per_ratio(fake_study, tmp_path: Path):
    study = fake_study()
    levels = [10.0 ** (step / 2) for step in range(-2, 7)]
    for point, mu in ((0, 2.0), (1, 5.0)):
        for ratio in (0.1, 0.9):
            settings = {"noise.kind": "mixed", "noise.ratio": ratio, "noise.point": point}
            study.series(settings, mu, levels)
    study.series({"noise.kind": "mixed", "noise.ratio": 0.5, "noise.point": 1}, 3.0, levels)
    with style():
        (plot,) = mixed_points.draw(study.analyse(), tmp_path)
    table = table_of(plot, tmp_path)
    assert sorted(table["series"].unique()) == ["ratio 0.1", "ratio 0.9"]
    assert sorted(table["mu"]) == pytest.approx([2.0, 2.0, 5.0, 5.0], rel=0.15)
    assert table["mu_low"].notna().all()


def test_nothing_is_drawn_without_mixed_noise(paper_study: Study, tmp_path: Path):
    for figure in (mixed_maps, mixed_ratio, mixed_points):
        assert figure.draw(paper_study, tmp_path) == []


def test_ratios_are_spread_at_both_ends():
    scale = Scale.of_ratios([0.001, 0.5, 0.999, 0.0, 1.0])
    places = scale.positions()
    assert places[2] == 0
    assert places[1] == pytest.approx(-places[3])
    assert places[0] < places[1]
    assert places[4] > places[3]
    assert np.isfinite(places).all()
    assert np.all(np.diff(scale.edges) > 0)


@pytest.mark.parametrize(
    ("levels", "form"),
    [
        ([0.1, 1.3, 2.5], "linear"),
        ([1e-2, 1.0, 1e8], "log"),
        ([0.0, 0.01, 10.0], "log"),
        ([3.0], "linear"),
        ([0.0], "linear"),
    ],
)
def test_levels_over_decades_have_a_logarithmic_axis(levels, form):
    scale = Scale.of_levels(levels)
    assert scale.form == form
    assert np.all(np.diff(scale.edges) > 0)
    assert len(scale.edges) == len(levels) + 1


@pytest.mark.parametrize(
    ("ratio", "text"),
    [(0.5, "0.5"), (0.99, "0.99"), (1 - 1e-6, "1−$10^{-6}$"), (1e-17, "$10^{-17}$"), (0.0, "0"), (1.0, "1")],
)
def test_ratio_text(ratio: float, text: str):
    assert ratio_text(ratio) == text


@pytest.mark.parametrize(
    ("ratios", "most", "ticks"),
    [
        ([0.001, 0.01, 0.1, 0.25, 0.5, 0.9316, 0.99932, 0.99999], 4, ["0.001", "0.5", "0.999"]),
        ([0.01, 0.1, 0.5, 0.9, 0.99], 7, ["0.01", "0.1", "0.5", "0.9", "0.99"]),
        ([0.0, 1e-6, 1e-3, 0.5, 0.999, 1.0], 7, ["0", "$10^{-4}$", "0.01", "0.5", "1"]),
        ([0.25, 0.5, 0.75], 4, ["0.25", "0.5", "0.75"]),
    ],
)
def test_ticks_of_ratios_are_round(ratios: list[float], most: int, ticks: list[str]):
    axis = Figure().subplots().xaxis
    Scale.of_ratios(ratios).label(axis, most)
    assert [label.get_text() for label in axis.get_majorticklabels()] == ticks
