"""Properties of all outputs: an estimate lies in the interval printed with it, and outputs have the same numbers."""

from __future__ import annotations

import json
import random
import re
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from analysis import midpoints
from analysis.midpoints.study import Study
from analysis.report import page
from analysis.report.report_items import REPORT_ITEMS
from tests.analysis.conftest import FLOOR, FakeStudy
from tests.analysis.report.pages import data_of

NUMBER = r"-?[\d.]+(?:e-?\d+)?"
ESTIMATE = re.compile(rf"({NUMBER}) \[({NUMBER}), ({NUMBER})\]")
ITEMS = [each for each in REPORT_ITEMS if each.number in ("Table I", "Ledger", "Sensitivity", "All series")]

LEVELS = (0.0, *(10 ** (step / 3) for step in range(-6, 7)))

series = st.fixed_dictionaries({
    "mu": st.floats(-2.5, 2.5).map(lambda exponent: 10.0**exponent),
    "sigma": st.sampled_from([0.02, 0.15, 0.3, 0.8]),
    "between": st.sampled_from([0.0, 0.02, 0.1, 0.6]),
    "a_max": st.sampled_from([0.95, 0.95, 0.5, FLOOR + 0.04]),
    "a_min": st.sampled_from([FLOOR, FLOOR, 0.3, 0.8]),
    "repetitions": st.sampled_from([1, 2, 3, 3, 6]),
    "levels": st.sets(st.sampled_from(LEVELS), min_size=3, max_size=8).map(sorted),
})  # fmt: skip


FEW_RUNS = {
    "mu": 0.00834547770271699, "sigma": 0.02, "between": 0.02, "a_max": 0.95, "a_min": FLOOR, "repetitions": 5,
    "levels": [0.01, *(10 ** (step / 3) for step in (-4, -3, -1, 0, 1, 2, 5, 6))],
}  # fmt: skip
"""Series with nine levels of which few repetitions are left with ``missing`` of 0.7."""


def build(shapes: list[dict[str, Any]], many: bool, missing: float, dead: float, seed: int) -> FakeStudy:
    """A study of these series, or of eight points with the first one; some runs fail, some are dead at their level."""
    study, draw = FakeStudy(), random.Random(seed)
    if many:
        places: list[dict[str, Any]] = [{"noise.point": point} for point in range(8)]
        shapes = [{**shapes[0], "repetitions": 2, "levels": shapes[0]["levels"][:6]}] * 8
    else:
        places = [{}, {"noise.kind": "multiplicative"}, {"noise.point": 2, "noise.in_training": False}]
    for place, shape in zip(places, shapes, strict=False):
        study.series(place, **shape)
    for document in study.documents:
        if draw.random() < missing:
            document["status"] = "FAILED"
        elif draw.random() < dead:
            document["result"]["accuracy"] = FLOOR
    return study


@settings(max_examples=12, deadline=None, derandomize=True, database=None, phases=[Phase.explicit, Phase.generate])
@given(
    shapes=st.lists(series, min_size=1, max_size=3), many=st.sampled_from([*[False] * 7, True]),
    missing=st.sampled_from([0.0, 0.0, 0.2, 0.7]), dead=st.sampled_from([0.0, 0.0, 0.05, 0.3]), seed=st.integers(0, 99),
)  # fmt: skip
@example(shapes=[FEW_RUNS], many=False, missing=0.7, dead=0.0, seed=37)
def test_every_estimate_lies_in_its_interval(
    shapes: list[dict[str, Any]], many: bool, missing: float, dead: float, seed: int
):
    fake = build(shapes, many, missing, dead, seed)
    study = fake.analyse()
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder)
        made = [(each, each.make(study, written)) for each in ITEMS]
        for path in written.glob("*.csv"):
            check_columns(pd.read_csv(path))
        for path in written.glob("*.tex"):
            check_texts(path.read_text())
        if many:
            html = page.render(study, made, written)
            check_texts(html)
            check_texts(json.dumps(data_of(html)))
        if any(document["status"] == "COMPLETED" for document in fake):
            check_table_from_python(fake, study, pd.read_csv(written / "midpoints.csv"))


def check_columns(table: pd.DataFrame) -> None:
    """Every X with X_low and X_high, or with low and high."""
    ends = {name: (f"{name}_low", f"{name}_high") for name in table} | {"estimate": ("low", "high")}
    for name, (low, high) in ends.items():
        if {name, low, high} <= set(table):
            ordered = table[[low, name, high]].to_numpy(float)
            known = ordered[np.isfinite(ordered[:, [0, 2]]).any(axis=1)]
            assert (np.diff(known) >= 0).all(), name


def check_texts(text: str) -> None:
    """Every ``X [low, high]``, with its rounded numbers."""
    for found in ESTIMATE.finditer(text):
        value, low, high = map(float, found.groups())
        assert low <= value <= high, found[0]


def check_table_from_python(fake: FakeStudy, study: Study, table: pd.DataFrame) -> None:
    """The same numbers in ``midpoints.estimate`` and in the report, for series with completed runs."""
    ours = midpoints.estimate(*fake.completed(), losses=[0.01, 0.05])
    losses = [f"loss_{loss}{end}" for loss in (1, 5) for end in ("", "_low", "_high")]
    names = {"mu": "mu", "low": "mu_low", "high": "mu_high"} | {name: name for name in losses}
    used = table[table["used"] > 0]
    for name, column in names.items():
        assert ours[name].tolist() == pytest.approx(used[column].tolist(), rel=1e-5, nan_ok=True)
    assert ours["bound"].tolist() == used["mu_bound"].astype(object).fillna("").tolist()
    assert ours["interval"].tolist() == used["mu_interval"].astype(object).fillna("").tolist()
    assert ours["point"].tolist() == used["point"].astype(str).tolist()
    check_columns(ours.rename(columns={"low": "mu_low", "high": "mu_high"}))


def test_the_check_sees_an_estimate_outside():
    with pytest.raises(AssertionError):
        check_texts("0.5 [0.6, 0.7]")
    with pytest.raises(AssertionError):
        check_columns(pd.DataFrame({"mu": [0.5], "mu_low": [0.6], "mu_high": [0.7]}))
    check_texts("-1.20e4 [-3.0e4, 0.5] and 3 of 3")
