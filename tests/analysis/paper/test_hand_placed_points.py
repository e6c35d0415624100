"""Claims on the layers of a model that places its own noise points, on runs that are trained here."""

from __future__ import annotations

import math

import pytest

from analysis.midpoints.study import Study
from analysis.paper.claims import midpoint_claims
from analysis.paper.claims.walks import walks
from analysis.runs.point_quantities import mean_abs_weight
from analysis.runs.run_frame import rows
from tests.analysis.conftest import FakeStudy
from tests.walking_noise.conftest import part
from tests.walking_noise.parts import new_models
from walking_noise import RunConfig, data, train

POINTS, AFTER_RELU = range(6), [2, 4]
LEVELS, SEEDS = (0.1, 0.3, 1.0, 3.0, 10.0, 100.0, 1000.0), (0, 1, 2)


@pytest.fixture(scope="module")
def trained() -> Study:
    """Additive noise at each noise point, in one short training on real digits; no field of a result is made up."""
    study = FakeStudy()
    shared = {"model.name": "named_points", "training.epochs": 2, "training.learning_rate": 0.003}
    settings = [
        {**shared, "noise.point": point, "noise.std": level, "seed": seed}
        for point in POINTS
        for level in LEVELS
        for seed in SEEDS
    ]
    few = part(data.load("mnist5k"), 2000, 500)
    with new_models(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(data, "load", lambda *selection, **settings: few)
        results = train([RunConfig.from_dict(each) for each in settings], device="cpu", processes=1)
        for each, result in zip(settings, results, strict=True):
            study.add(each, result=result.to_document())
        return study.analyse()


def test_the_plateau_is_that_of_the_points_after_layers_without_parameters(trained: Study) -> None:
    (walk,) = walks(trained)
    assert walk.resolved.shape == (len(SEEDS), len(POINTS))
    inner = walk.resolved.to_numpy()[:, 1:]
    plateau = walk.resolved[AFTER_RELU].to_numpy()
    (case,) = midpoint_claims.without_parameters_plateau.cases(trained)
    assert case.values == pytest.approx(list(abs(plateau[:, 0] - plateau[:, 1]) / (inner.max(1) - inner.min(1))))
    assert max(case.values) < 0.9
    assert (case.used, case.planned) == (126, 126)


def test_the_weights_at_a_point_are_those_of_the_layer_that_it_follows(trained: Study) -> None:
    for run in rows(trained.runs):
        stored = run["mean_abs_weight"]
        assert mean_abs_weight(run, 1) == stored["1"] != stored["5"] == mean_abs_weight(run, 3)
        assert all(math.isnan(mean_abs_weight(run, point)) for point in (0, *AFTER_RELU))
