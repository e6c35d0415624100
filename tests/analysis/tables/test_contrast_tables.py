"""Tables of contrasts: sets of weakest points, ratios by point and their mean, and points that are left out."""

from __future__ import annotations

import random
from pathlib import Path

import pandas as pd
import pytest

from analysis.midpoints.flags import Flag
from analysis.midpoints.study import Study
from analysis.tables import contrast_tables
from tests.analysis.walked import Walked

FREE = (1.0, 1.01, 3.0, 30.0, 10.0, 3.0, 9.0, 5.0)


@pytest.fixture
def walked(fake_study) -> Walked:
    return Walked(fake_study())


def scattered(study: Study) -> Study:
    """The study with midpoints that scatter by 5 % within each repetition."""
    for each in study.fitted_series:
        outcomes = each.fit.repetitions.outcomes
        for name, level in outcomes.items():
            if not isinstance(level, Flag):
                outcomes[name] = level * 10 ** random.Random(f"{each.settings} {name}").gauss(0, 0.02)  # type: ignore[index]
    return study


def numbers(study: Study) -> tuple[pd.DataFrame, pd.DataFrame]:
    series = study.fitted_series
    walks, pairs = contrast_tables.walks_of(series), contrast_tables.pairs_of(series)
    return contrast_tables.weakest_numbers(walks), contrast_tables.ratio_numbers(pairs)


def test_weakest_points_of_a_walk(walked: Walked):
    weakest, ratios = numbers(scattered(walked.walk(FREE).study()))
    assert len(ratios) == 0
    assert weakest["point"].tolist()[:3] == ["0 input", "1 fc1", "2 relu1"]
    assert weakest["may_be_weakest"].tolist() == [True, True, *[False] * (len(FREE) - 2)]
    assert weakest.loc[weakest["may_be_strongest"], "point"].tolist() == ["3 fc2"]
    others = weakest[weakest["ratio"] != 1]
    assert ((others["low"] < others["ratio"]) & (others["ratio"] < others["high"])).all()
    assert others["low"][3] < 30 < others["high"][3]
    assert set(weakest["freedom"]) == {2 * (len(FREE) - 1)}


def test_ratios_of_training_and_of_clamping(walked: Walked):
    walked.walk(FREE).walk([4 * mu for mu in FREE], training__weight_clamp=1.0)
    walked.walk([mu / 2 for mu in FREE], noise__in_training=False)
    walked.series(6.0, noise__point="global").series(3.0, noise__point="global", noise__in_training=False)
    _, ratios = numbers(scattered(walked.study()))
    by_change = {values: rows.set_index("point") for values, rows in ratios.groupby("values")}
    assert set(by_change) == {"clamped to ±1 / free", "with noise / inference only"}
    for values, true in (("clamped to ±1 / free", 4.0), ("with noise / inference only", 2.0)):
        rows = by_change[values]
        assert rows.index.tolist()[-1 if true == 4 else -2] == "mean"
        assert ((rows["low"] < true) & (true < rows["high"])).mean() > 0.8
        assert ((rows["simultaneous_low"] < true) & (true < rows["simultaneous_high"])).all()
        assert (rows["simultaneous_low"] <= rows["low"]).all()
    assert "global" in by_change["with noise / inference only"].index


def test_points_outside_the_levels_are_left_out_and_named(walked: Walked, tmp_path: Path):
    outside = (Flag.NEVER_FALLS, *FREE[1:5], Flag.BELOW_RANGE, *FREE[6:])
    walked.walk(outside).walk(FREE, noise__in_training=False)
    weakest, ratios = contrast_tables.make(scattered(walked.study()), tmp_path)
    assert len(weakest.texts) == 2 * len(FREE) - 2
    assert len(ratios.texts) == len(FREE) - 2 + 1
    for table in (weakest, ratios):
        assert "0 input (never falls), 5 fc3 (midpoint below the sampled levels)" in table.caption
        text = (tmp_path / f"{table.name}.tex").read_text()
        assert r"\toprule" in text
        assert "never falls" in text
    assert set(pd.read_csv(tmp_path / "midpoint_ratios.csv")["repetitions"]) == {3}


def test_studies_without_pairs_or_repetitions_have_no_tables(fake_study, tmp_path: Path):
    once = Walked(fake_study(), repetitions=1).walk(FREE).walk(FREE, noise__in_training=False)
    assert contrast_tables.make(once.study(), tmp_path) == []
    assert contrast_tables.make(Walked(fake_study()).series(2.0).study(), tmp_path) == []


def test_walks_without_contrasts_are_counted(walked: Walked, tmp_path: Path):
    walked.walk(FREE).walk([Flag.NEVER_FALLS] * len(FREE), model__batch_norm=True)
    (weakest,) = contrast_tables.make(scattered(walked.study()), tmp_path)
    assert "too few points or repetitions are left: 1." in weakest.caption
    assert "with BatchNorm: 0 input (never falls)" in weakest.caption
