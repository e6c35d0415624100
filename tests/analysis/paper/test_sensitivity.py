from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
import pytest

from analysis.midpoints.study import FittedSeries, Study
from analysis.paper import sensitivity
from analysis.runs.run_frame import rows

LEVELS = tuple(10 ** (step / 3) for step in range(-6, 7))


@pytest.fixture
def runs_study(fake_study) -> Study:
    """Multiplicative noise with both gradients (midpoints 0.9 and 0.4), additive noise with 20 and 5 epochs."""
    study = fake_study()
    shared = {"noise.kind": "multiplicative"}
    study.series(shared, 0.9, LEVELS)
    study.series({**shared, "noise.gradient": "straight_through"}, 0.4, LEVELS, repetitions=5)
    study.series({}, 2.0, LEVELS, repetitions=4)
    study.series({"training.epochs": 5}, 1.0, LEVELS, repetitions=1)
    analysed: Study = study.analyse()
    return analysed


def chosen(study: Study) -> list[FittedSeries]:
    return [each for each in study.fitted_series if each.fit.weighted is not None]


def sensitivity_series(study: Study) -> list[FittedSeries]:
    return [each for each in chosen(study) if each.settings["noise.kind"] == "additive"]


def test_a_bound_is_no_midpoint(fake_study, tmp_path: Path):
    """Pairs of series and choices of the fit show a dash where only a bound is known."""
    study = fake_study()
    for gradient, mu in (("exact", 0.9), ("straight_through", 90.0)):
        study.series({"noise.kind": "multiplicative", "noise.gradient": gradient}, mu, LEVELS, between=0.3)
    fits, runs, _ = sensitivity.make(study.analyse(), tmp_path)
    other = runs.texts.iloc[0]
    assert other["μ with the other value"] == "– –"
    assert pd.read_csv(tmp_path / "sensitivity_runs.csv")["mu_other"].isna().all()
    assert (fits.texts["per repetition (reported)"] == "– –").sum() == 1


def test_choices_of_fit_of_global_series(paper_study: Study):
    table = sensitivity.fit_choices(paper_study.fitted_series)
    assert len(table) == 4 * 8
    additive = table[(table["noise.kind"] == "additive") & ~table["model.batch_norm"].astype(bool)].set_index("choice")
    weighted, scatter = (additive.loc[f"weighted fit{choice}"] for choice in (" (paper)", ", error from the scatter"))
    assert weighted["mu"] == scatter["mu"]
    assert weighted["mu_high"] - weighted["mu_low"] > scatter["mu_high"] - scatter["mu_low"]
    assert additive.loc["weighted fit over the linear level", "mu"] != pytest.approx(weighted["mu"], rel=1e-3)
    mu = next(each.fit.mu for each in sensitivity_series(paper_study) if not each.settings["model.batch_norm"])
    reported, plain, own_fall, logistic = (
        additive.loc[f"per repetition{choice}"]
        for choice in (" (reported)", ", plain t interval", ", half of its own fall", ", logistic")
    )
    ends = ["mu", "mu_low", "mu_high"]
    assert list(reported[ends]) == list(plain[ends]) == [mu.value, mu.low, mu.high]
    assert [own_fall["mu"], logistic["mu"]] == pytest.approx([mu.value] * 2, rel=0.02)
    assert ((table["mu_low"] <= table["mu"]) & (table["mu"] <= table["mu_high"])).all()


def test_choices_of_runs_compare_series_that_differ_only_in_one_setting(runs_study: Study):
    table = {row["setting"]: row for row in rows(sensitivity.run_choices(chosen(runs_study)))}
    gradient = table["noise.gradient"]
    assert (gradient["reported"], gradient["other"], gradient["repetitions"]) == ("exact", "straight_through", 3)
    assert gradient["ratio"] == pytest.approx(0.4 / 0.9, rel=0.1)
    assert gradient["ratio_low"] < 0.4 / 0.9 < gradient["ratio_high"]
    epochs = table["training.epochs"]
    assert (epochs["reported"], epochs["other"], epochs["repetitions"]) == (20, 5, 1)
    assert math.isnan(epochs["ratio_low"])


def test_choices_of_runs_that_are_not_there_are_not_measured(runs_study: Study):
    table = sensitivity.run_choices(chosen(runs_study))
    words = {row["setting"]: row for row in rows(sensitivity.run_choice_texts(table, ["noise.kind"]))}
    assert words["data.transform"]["series"].startswith(
        "Not measured: needs two series on fashion_mnist, svhn or cifar10"
    )
    assert words["data.transform"]["ratio"] == "–"
    assert words["noise.gradient"]["other value"] == "straight through"
    assert words["noise.gradient"]["series"] == "multiplicative noise"


def test_number_of_repetitions_takes_every_subset(runs_study: Study):
    table = sensitivity.repetition_subsets(chosen(runs_study))
    straight = table[table["noise.gradient"] == "straight_through"].set_index("repetitions")
    assert straight["subsets"].tolist() == [10, 10, 5, 1]
    assert straight["width"].is_monotonic_decreasing
    spread = straight["mu_highest"] / straight["mu_lowest"]
    assert spread.is_monotonic_decreasing
    assert spread.loc[5] == 1
    each = next(each for each in runs_study.fitted_series if each.settings["noise.gradient"] == "straight_through")
    expected = each.fit.mu
    assert straight.loc[5, "mu_lowest"] == pytest.approx(expected.value)
    assert straight.loc[5, "width"] == pytest.approx(expected.high / expected.low)


def test_three_tables_are_written(runs_study: Study, tmp_path: Path):
    fits, runs, repetitions = sensitivity.make(runs_study, tmp_path)
    assert len(fits.texts) == 4
    assert len(runs.texts) == 3
    assert list(repetitions.texts) == ["series", "repetitions", *(f"{size} repetitions" for size in (2, 3, 4, 5))]
    assert repetitions.texts["2 repetitions"].str.startswith("Not measured").sum() == 1
    for table in (fits, runs, repetitions):
        assert len(pd.read_csv(tmp_path / f"{table.name}.csv"))
        assert r"\toprule" in (tmp_path / f"{table.name}.tex").read_text()


def test_a_single_repetition_is_not_measured(fake_study, tmp_path: Path):
    study = fake_study()
    study.series({}, 2.0, LEVELS, repetitions=1)
    *_, repetitions = sensitivity.make(study.analyse(), tmp_path)
    assert repetitions.texts["2 repetitions"].tolist() == ["Not measured: needs 2 seeds or more."]


def test_studies_without_global_midpoints_have_none(fake_study, tmp_path: Path):
    study = fake_study()
    study.series({"noise.point": 2}, 2.0, LEVELS)
    assert sensitivity.make(study.analyse(), tmp_path) == []
