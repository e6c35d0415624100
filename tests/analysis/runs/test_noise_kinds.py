"""Report items with a new noise kind: figures show it, with two levels as mixed noise; Table I counts its series."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from analysis.figures import quantities
from analysis.figures.layout.style import Plot, style
from analysis.labels import level_axis_label
from analysis.midpoints.refine import refine
from analysis.paper import table1
from analysis.report.report_items import make_all
from analysis.tables.table_files import Table
from walking_noise.noise import Levels, NoiseKind, noise_kinds

BOX: dict[str, Any] = {"noise.kind": "box_shaped"}
LEVELS = (0.0, 0.1, 0.5, 1.0, 2.0, 4.0, 10.0, 1e10)


@pytest.fixture
def box_shaped(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kind of additive uniform noise, registered as its module would do it. Its level is half of its width."""
    kind = NoiseKind("box_shaped", settings=(("std",),), levels=lambda std: Levels(0.0, std / 3**0.5))
    monkeypatch.setitem(noise_kinds(), kind.name, kind)


@pytest.mark.usefixtures("box_shaped", "without_pictures")
def test_a_new_additive_kind_is_in_the_figures(fake_study, tmp_path: Path):
    study = fake_study()
    study.series({**BOX, "evaluation.curve": True}, 2.0, LEVELS, curve=True)
    for point in (0, 1):
        study.series({**BOX, "noise.point": point}, 2.0, LEVELS)
    for seed in range(3):
        study.complete({"noise.kind": "none", "seed": seed}, 0.95)
    made = {item.number: parts for item, parts in make_all(study.analyse(), tmp_path) if parts}
    for number in ("Figure 1", "Figure 3", "Figure 5", "Figure 6", "Figures 10 and 11", "v2, signal", "v2, weights"):
        assert any("box shaped noise" in part.title for part in made[number]), number
    assert not any(part.title.startswith("Figure") for parts in made.values() for part in parts)
    (every,) = [part for part in made["All series"] if isinstance(part, Table) and part.name == "midpoints"]
    assert len(every.texts) == 3


@pytest.mark.usefixtures("box_shaped")
def test_the_signal_is_compared_with_the_spread_of_the_noise(fake_study, tmp_path: Path):
    study = fake_study()
    study.complete({**BOX, "noise.std": 4.0, "noise.point": 1}, 0.9)
    with style():
        (plot,) = quantities.draw_signal(study.analyse(), tmp_path)
    assert pd.read_csv(tmp_path / f"{plot.name}.csv")["mean"].tolist() == pytest.approx([2.0 / (4.0 / 3**0.5)])


@pytest.mark.usefixtures("box_shaped")
def test_a_new_kind_with_two_levels_is_mixed_noise(fake_study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    mixed = noise_kinds()["mixed"]
    monkeypatch.setitem(noise_kinds(), "stirred", NoiseKind("stirred", mixed.settings, mixed.levels))
    study = fake_study()
    for point in (0, 1):
        for seed in range(3):
            for amplitude in LEVELS:
                settings = {"noise.kind": "stirred", "noise.amplitude": amplitude, "noise.ratio": 0.5}
                study.complete({**settings, "noise.point": point, "seed": seed}, 0.9 / (1 + amplitude))
    made = {item.number: parts for item, parts in make_all(study.analyse(), tmp_path) if parts}
    assert [part.title for part in made["v2, points"] if isinstance(part, Plot)] == [
        "MNIST (5,000 digits), MLP, stirred noise: midpoint noise level at each point"
    ]
    assert {"Figure 3", "Figures 10 and 11", "v2, signal"}.isdisjoint(made)


@pytest.mark.usefixtures("box_shaped")
def test_table1_counts_the_series_that_it_leaves_out(fake_study, tmp_path: Path):
    study = fake_study()
    for settings in (
        {}, BOX, {"data.validation": "holdout"}, {"training.weight_clamp": 1.0, "data.validation": "holdout"},
        {"model.batch_norm": True}, {"noise.in_training": False}, {"noise.point": 3},
        {**BOX, "noise.in_training": False},
    ):  # fmt: skip
        study.complete({**settings, "noise.std": 1.0}, 0.9)
    (table,) = table1.make(study.analyse(), tmp_path)
    assert (
        "Series under global noise, trained with noise, that only the table of all series contains: 3 with settings "
        "that differ from the paper's (data.validation, training.weight_clamp, noise.on_batch_norm); 1 with box shaped "
        "noise."
    ) in table.caption
    assert "only the table of all series" in (tmp_path / "table1.tex").read_text()


def test_table1_of_the_papers_series_leaves_out_none(paper_study, tmp_path: Path):
    (table,) = table1.make(paper_study, tmp_path)
    assert "only the table of all series" not in table.caption


@pytest.mark.usefixtures("without_pictures")
def test_the_level_of_quantisation_is_its_relative_step(fake_study, tmp_path: Path):
    study = fake_study()
    for point in (0, 1):
        for seed in range(3):
            for bits in range(1, 9):
                accuracy = 0.1 + 0.85 / (1 + (2 / (2**bits - 1)) ** 4) + 0.001 * seed
                study.complete(
                    {"noise.kind": "quantisation", "noise.bits": bits, "noise.point": point, "seed": seed}, accuracy
                )
    study.complete({"noise.kind": "quantisation", "noise.bits": [4] * 8, "noise.point": "mapped"}, 0.9)
    analysed = study.analyse()
    curves = [each for each in analysed.fitted_series if each.series.has_curve]
    assert [each.settings["noise.point"] for each in curves] == [0, 1]
    for each in curves:
        assert each.settings["noise.bits"] is None
        assert each.series.curve["level"].tolist() == pytest.approx([1 / (2**bits - 1) for bits in range(8, 0, -1)])
        assert each.fit.mu.value == pytest.approx(0.5, rel=0.05)
        assert level_axis_label(each.settings) == "relative step of the quantisation"
    made = {item.number: parts for item, parts in make_all(analysed, tmp_path) if parts}
    assert any("quantisation noise" in part.title for part in made["Figures 10 and 11"])
    assert "v2, signal" not in made
    assert {plan.remark for plan in refine(analysed, 0.05)} == {
        "not every level can be set; add levels and seeds by hand"
    }
