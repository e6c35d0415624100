from __future__ import annotations

import math
import re
from pathlib import Path

import pandas as pd
import pytest

from analysis import published_results
from analysis.labels import (
    cell_text,
    column_heading,
    differing_settings,
    format_interval,
    format_number,
    format_with_error,
    label,
)
from analysis.midpoints.flags import Flag, flag_letter
from analysis.midpoints.study import Study
from analysis.paper import table1
from analysis.runs.run_frame import SEED_SETTINGS
from analysis.runs.run_settings import is_storage_setting
from analysis.tables import series_tables
from analysis.tables.table_files import escape, tabular
from walking_noise import RunConfig


def test_table1_compares_four_cells_with_the_papers_values(paper_study: Study):
    table = table1.numbers(paper_study.fitted_series)
    assert table["paper"].tolist() == [1.69, 0.942, 1.57, 0.952]
    assert table["mu"].tolist() == pytest.approx([1.69, 0.942, 1.57, 0.952], rel=0.06)
    assert (table["mu_low"] < table["mu"]).all()
    assert (table["mu"] < table["mu_high"]).all()
    assert table["ratio"].tolist() == pytest.approx((table["mu"] / table["paper"]).tolist())
    assert table["ratio_high"].tolist() == pytest.approx((table["mu_high"] / table["paper"]).tolist())
    assert table["used"].tolist() == [42, 33, 42, 33]


def test_texts_of_table1(paper_study: Study):
    shown = table1.texts(paper_study.fitted_series)
    assert shown[[("", "data set"), ("", "model"), ("", "")]].to_numpy().tolist() == [
        ["MNIST", "MLP", "μ"], ["", "", "paper"], ["", "", "runs"],
    ]  # fmt: skip
    cells = shown[["additive", "multiplicative"]].to_numpy().tolist()
    assert [cell.split()[0] for cell in cells[1]] == ["1.69", "1.57", "0.942", "0.952"]
    assert all(re.fullmatch(r"[\d.]+ \([\d.]+ \[[\d.]+, [\d.]+\]\)", cell) for cell in cells[1])
    assert cells[2] == ["42 of 42", "42 of 42", "33 of 33", "33 of 33"]
    assert all(re.fullmatch(r"\d\.\d+ \[[\d.]+, [\d.]+\]( \(\w\))*", cell) for cell in cells[0])


def test_table1_is_written(paper_study: Study, tmp_path: Path):
    (table,) = table1.make(paper_study, tmp_path)
    text = (tmp_path / "table1.tex").read_text()
    assert r"\toprule" in text
    assert all(escape(cell) in text for cell in table.texts[("additive", "with BatchNorm")])
    assert pd.read_csv(tmp_path / "table1.csv")["paper"].tolist() == [1.69, 0.942, 1.57, 0.952]


def test_flags_are_letters_with_notes_in_latex(whole_analysis, tmp_path: Path):
    series_tables.make_series(whole_analysis, tmp_path)
    text = (tmp_path / "midpoints.tex").read_text()
    assert f"({flag_letter(Flag.NEVER_FALLS)})" in text
    assert text.count("never falls") == 1


OF_A_SERIES = {name for name in RunConfig().to_flat() if name not in SEED_SETTINGS and not is_storage_setting(name)}
OF_THE_TABLE = {
    "data.name", "model.name", "model.batch_norm", "noise.kind", "noise.std", "noise.amplitude", "noise.point",
    "noise.on_batch_norm", "noise.in_training", "training.epochs",
}  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        {"noise.in_training": False}, {"noise.point": 0}, {"noise.kind": "none"},
        {"model.batch_norm": True, "noise.on_batch_norm": True},
        *({name: "changed"} for name in sorted(OF_A_SERIES - OF_THE_TABLE)),
    ],
    ids=lambda change: list(change)[-1],
)  # fmt: skip
def test_other_series_are_not_in_table1(change):
    ours = {name: value for name, value in RunConfig().to_flat().items() if name in OF_A_SERIES} | {"noise.std": None}
    assert published_results.in_table1(ours)
    assert not published_results.in_table1({**ours, **change})


def test_series_of_any_data_set_model_and_epochs_is_in_table1(fake_study):
    study = fake_study()
    study.complete({"noise.std": 0.5, "training.learning_rate": 0.01}, 0.9)
    study.complete({"noise.kind": "multiplicative", "noise.gradient": "straight_through", "noise.std": 0.5}, 0.9)
    study.complete({"noise.std": 0.5, "training.epochs": 3, "data.name": "cifar10", "model.name": "lenet5"}, 0.9)
    (only,) = table1.table1_series(study.analyse().fitted_series)
    assert only.settings["model.name"] == "lenet5"


@pytest.mark.parametrize(
    ("data", "model", "epochs", "batch_norm", "kind", "printed"),
    [
        ("mnist", "mlp", 100, False, "additive", 1.69),
        ("mnist", "lenet5", 50, True, "additive", 1.61),
        ("cifar10", "mlp", 200, True, "multiplicative", 0.642),
        ("cifar10", "lenet5", 300, False, "multiplicative", 0.625),
        ("gsc", "cnn_s", 150, False, "additive", 7.89),
        ("mnist", "mlp", 20, False, "additive", None),
        ("mnist5k", "mlp", 100, False, "additive", None),
        ("svhn", "mlp", 300, False, "additive", None),
    ],
)
def test_published_value_needs_the_same_data_set_model_and_epochs(data, model, epochs, batch_norm, kind, printed):
    settings = {
        "data.name": data, "model.name": model, "training.epochs": epochs, "model.batch_norm": batch_norm,
        "noise.kind": kind,
    }  # fmt: skip
    assert published_results.published_midpoint(settings) == printed


def test_numbers_of_midpoints_have_settings_fits_and_counts(whole_analysis):
    study = whole_analysis
    table = series_tables.midpoint_numbers(study.fitted_series)
    assert len(table) == 26
    first = table.iloc[0]
    assert (first["used"], first["overflow"], first["diverged"], first["repeated"]) == (43, 1, 1, 1)
    assert (first["failed"], first["pending"], first["running"]) == (3, 1, 1)
    assert first["planned"] == 49
    assert first["training.weight_clamp"] is None
    never = table[(table["point"] == "3 relu1") & table["noise.in_training"]].iloc[0]
    assert (never["mu"], never["mu_bound"]) == (1e10, "≥")
    assert math.isnan(never["mu_low"])
    assert never["flags"] == Flag.NEVER_FALLS
    assert never["used"] == never["planned"] == 39


def test_series_without_a_usable_run_have_a_flag(fake_study):
    study = fake_study()
    study.add({"noise.std": 1.0}, "STAGED")
    study.complete({"noise.std": 1.0, "noise.point": 2}, 0.1, outcome="overflow", overflow_epoch=1)
    flags = {each.series.point_name: each.fit.flags for each in study.analyse().fitted_series}
    assert flags == {"global": (Flag.NO_COMPLETED_RUNS,), "2 relu1": (Flag.ONLY_OVERFLOW,)}


def test_texts_of_midpoints_name_the_settings_that_differ(whole_analysis):
    table = series_tables.midpoint_texts(whole_analysis.fitted_series)
    assert list(table.columns) == [
        "BatchNorm", "noise", "point", "training", "μ", "interval", "half of its own fall", "weighted fit (paper)",
        "a_max", "a_min", "runs", "flags",
    ]  # fmt: skip
    assert table["runs"][0] == "43 of 49 (1 overflow, 3 failed, 1 running, 1 pending); 1 diverged; 1 repeated"
    assert set(table["training"]) == {"with noise", "inference only"}
    assert "10 fc4" in set(table["point"])


def test_series_without_a_curve(fake_study):
    study = fake_study()
    for seed, accuracy in enumerate((0.9, 0.92)):
        study.complete({"noise.kind": "none", "seed": seed}, accuracy)
    table = series_tables.accuracy_numbers(study.analyse().series_without_curve)
    assert table["accuracy"].tolist() == pytest.approx([0.91])
    assert table["used"].tolist() == [2]


def test_texts_of_data_settings():
    settings = {"data.validation": "holdout", "data.keywords": ("yes", "no")}
    assert label(settings, settings) == "validated on the hold-out of the training set, keywords yes no"
    assert label({**settings, "data.keywords": None}, ["data.keywords"]) == ""
    assert [cell_text(name, value) for name, value in settings.items()] == ["hold-out of the training set", "yes no"]
    assert [column_heading(name) for name in settings] == ["validated on", "keywords"]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.94213, "0.942"), (1.6, "1.60"), (31.6, "31.6"), (316.4, "316"), (3.16e8, "3.16e8"), (0, "0"), (math.nan, "–")],
)
def test_number(value: float, text: str):
    assert format_number(value) == text


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (1.684, 0.0183, "1.684 ± 0.018"), (316.4, 12.3, "316 ± 12"), (3.2e4, 2540, "(3.20 ± 0.25)e4"),
        (0.942, 0, "0.942"), (math.nan, math.nan, "–"), (1.2e9, 3e15, "1.20e9 ± 3.0e15"),
    ],
)  # fmt: skip
def test_number_with_error(value: float, error: float, text: str):
    assert format_with_error(value, error) == text


def test_interval():
    assert format_interval(1.618, 1.76) == "[1.62, 1.76]"
    assert format_interval(math.nan, math.nan) == "–"


def test_differences_without_effect_do_not_distinguish(paper_study: Study):
    settings = [each.settings for each in paper_study.fitted_series]
    assert differing_settings(settings) == ["model.batch_norm", "noise.kind"]
    assert label(settings[0], differing_settings(settings)) == "without BatchNorm, additive noise"


def test_latex_escapes_special_characters():
    assert escape("5 % of a_max & μ ± σ") == r"5 \% of a\_max \& $\mu$ $\pm$ $\sigma$"
    assert escape("ΔAICc of |w|, μ₁ ≤ 2, 漢") == r"$\Delta$AICc of $|$w$|$, $\mu$$_1$ $\le$ 2, ?"
    assert tabular(pd.DataFrame({"a_b": ["1 %"]}), ["50 %"]).count(r"\%") == 2


@pytest.mark.parametrize(
    ("name", "shown"), [("cnn_s", "CNN-S"), ("some_model", "some model"), ("my_nets.a_b:build", "my_nets.a_b:build")]
)
def test_names_of_functions_are_shown_as_they_are(name: str, shown: str) -> None:
    assert cell_text("model.name", name) == shown
