from __future__ import annotations

import math

import pytest

from analysis import midpoints
from analysis.errors import AnalysisError
from analysis.midpoints.study import Study
from tests.analysis.conftest import FakeStudy

COLUMNS = ["point", "mu", "bound", "low", "high", "interval", "flags"]


def test_a_row_per_series_with_the_numbers_of_the_report(whole_study: FakeStudy) -> None:
    study: Study = whole_study.analyse()
    table = midpoints.estimate(*whole_study.completed())
    settings = ["model.batch_norm", "noise.kind", "noise.in_training"]
    assert list(table.columns) == [*settings, *COLUMNS]
    assert len(table) == len(study.fitted_series) == 26
    for (_, row), each in zip(table.iterrows(), study.fitted_series, strict=True):
        assert [row[name] for name in settings] == [each.settings[name] for name in settings]
        assert row["point"] == each.series.point_name
        mu = each.fit.mu
        assert (row["mu"], row["low"], row["high"]) == pytest.approx((mu.value, mu.low, mu.high), nan_ok=True)
        assert (row["bound"], row["interval"]) == (mu.bound, mu.method)
        assert row["flags"] == "; ".join(each.fit.flags)
    with_interval = table.dropna(subset=["low", "high"])
    assert len(with_interval) == 21
    assert (table["bound"] == "≥").sum() == 5
    assert set(with_interval["interval"]) == {"t", "moderated t"}
    assert (with_interval["low"] <= with_interval["mu"]).all()
    assert (with_interval["mu"] <= with_interval["high"]).all()


def test_one_series_needs_no_settings(fake_study: type[FakeStudy]) -> None:
    study = fake_study()
    study.series({"noise.point": 3}, 1.0, [10 ** (step / 5) for step in range(-10, 11)], repetitions=1)
    (row,) = midpoints.estimate(*study.completed()).to_dict("records")
    assert row["mu"] == pytest.approx(1.0, rel=0.1)
    assert (row["point"], row["flags"]) == ("3 fc2", "one repetition: no interval")
    assert math.isnan(row["low"])


def test_further_losses(fake_study: type[FakeStudy]) -> None:
    study = fake_study()
    study.series({"noise.point": 3}, 1.0, [10 ** (step / 5) for step in range(-10, 11)])
    (row,) = midpoints.estimate(*study.completed(), losses=[0.01, 0.5, 0.9]).to_dict("records")
    levels = [row[f"loss_{loss}"] for loss in (1, 50, 90)]
    assert levels[0] < levels[1] == row["mu"] < levels[2]
    assert all(row[f"loss_{loss}_low"] < row[f"loss_{loss}"] < row[f"loss_{loss}_high"] for loss in (1, 50, 90))
    assert row["loss_50_bound"] == ""
    with pytest.raises(AnalysisError, match=r"^losses 0.01: give a sequence of shares, as in \(0.01, 0.05\)$"):
        midpoints.estimate(*study.completed(), losses=0.01)  # type: ignore[arg-type]
    with pytest.raises(AnalysisError, match=r"^loss 0.995: give a share in \[0.01, 0.99\]$"):
        midpoints.estimate(*study.completed(), losses=[0.5, 0.995])


def test_runs_that_give_no_series_are_an_error(fake_study: type[FakeStudy]) -> None:
    study = fake_study()
    study.complete({"noise.kind": "none"}, 0.9)
    configs, results = study.completed()
    with pytest.raises(AnalysisError, match="none of the runs has a noise level"):
        midpoints.estimate(configs, results)
    with pytest.raises(AnalysisError, match="none of the runs has a noise level"):
        midpoints.estimate([], [])
    with pytest.raises(AnalysisError, match="2 settings but 1 results"):
        midpoints.estimate(configs * 2, results)
