from __future__ import annotations

from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from analysis.runs.run_frame import to_frame
from tests.analysis.conftest import FakeStudy
from walking_noise import RunConfig, models

NORMED = {"model.batch_norm": True}


def frame(study: FakeStudy) -> pd.DataFrame:
    return to_frame(study.source().documents)


@pytest.fixture
def never_built(monkeypatch: pytest.MonkeyPatch, fake_study: type[FakeStudy]) -> FakeStudy:
    """A study of runs of two models, of which no model may be built to read it."""
    study = fake_study()
    study.add({"noise.std": 0.1}, "PENDING")
    study.add({**NORMED, "noise.std": 0.1, "noise.on_batch_norm": False}, "FAILED")
    study.complete({**NORMED, "noise.std": 0.2}, 0.9)
    study.complete({"noise.std": 0.2}, 0.9)
    study.complete({"noise.std": 0.3}, 0.9)
    study.add({**NORMED, "noise.std": 0.3}, "RUNNING")

    def build(*_: Any) -> None:
        raise AssertionError("a model is built")

    monkeypatch.setattr(models, "summary", build)
    return study


def test_runs_without_a_result_have_the_points_of_others_of_their_model(never_built: FakeStudy) -> None:
    runs = frame(never_built)
    assert runs["id"].tolist() == runs.index.to_series().add(1).tolist() == [1, 2, 3, 4, 5, 6]
    assert runs["status"].tolist() == [document["status"] for document in never_built]
    assert list(map(len, runs["points"])) == [8, 11, 11, 8, 8, 11]
    assert runs["refused"].isna().all()
    assert [point.parameters > 0 for point in runs["points"][0]] == [False, True, False, True, False, True, False, True]


def test_levels_and_keys_are_those_of_a_built_model(fake_study: type[FakeStudy]) -> None:
    study = fake_study()
    everywhere = {**NORMED, "noise.std": 0.5}
    for settings in (everywhere, {**everywhere, "noise.on_batch_norm": False}, {**everywhere, "noise.point": 2}):
        study.complete(settings, 0.9)
    stored = frame(study)
    for document in study:
        document["result"]["points"] = [point.name for point in RunConfig.from_dict(NORMED).points]
    names_only = frame(study)
    pd.testing.assert_frame_equal(stored, names_only)
    assert stored["run_key"].nunique() == 3


def test_the_stored_points_count_not_those_of_the_present_model(fake_study: type[FakeStudy]) -> None:
    study = fake_study()
    points = tuple(replace(point, multiply_accumulates=7) for point in RunConfig().points)
    study.complete({}, 0.9, points=[point.to_document() for point in points])
    study.add({}, "PENDING")
    assert frame(study)["points"].tolist() == [points, points]


def test_without_any_result_the_model_is_built(fake_study: type[FakeStudy]) -> None:
    study = fake_study()
    study.add(NORMED, "PENDING")
    study.complete({}, 0.9)
    assert frame(study)["points"].tolist() == [RunConfig.from_dict(NORMED).points, RunConfig().points]


def test_a_point_that_the_model_lacks_is_refused(fake_study: type[FakeStudy]) -> None:
    study = fake_study()
    study.add({"noise.std": 0.1}, "PENDING")["config"]["noise"]["point"] = 8
    study.complete({}, 0.9)
    assert "noise points 0..7" in frame(study)["refused"][0]
