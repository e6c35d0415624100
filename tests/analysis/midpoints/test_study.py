from __future__ import annotations

from typing import Any

import pytest

from analysis.intervals import LEAST_SERIES, MOST_REPETITIONS, Method
from analysis.midpoints.study import FittedSeries, analyse
from analysis.runs.run_frame import to_frame
from tests.analysis.conftest import FakeStudy

LEVELS = (0.01, 0.1, 0.4, 1.0, 2.5, 10.0, 100.0)


def walked(study: FakeStudy, points: int, repetitions: int = 2, **settings: Any) -> list[FittedSeries]:
    """Series at the first points of the MLP with BatchNorm, with one kind of training."""
    dotted = {name.replace("__", "."): value for name, value in settings.items()}
    for point in range(points):
        shared = {"model.batch_norm": True, **dotted, "noise.point": point}
        study.series(shared, 1.0, LEVELS, repetitions)
    return analyse(to_frame(study)).fitted_series


@pytest.mark.parametrize(
    ("points", "repetitions", "method"),
    [
        (LEAST_SERIES, 2, Method.MODERATED),
        (LEAST_SERIES, MOST_REPETITIONS, Method.MODERATED),
        (LEAST_SERIES - 1, 2, Method.T),
        (LEAST_SERIES, MOST_REPETITIONS + 1, Method.T),
        (LEAST_SERIES, 1, Method.NONE),
    ],
)
def test_eight_series_with_at_most_five_repetitions_are_moderated(
    fake_study: type[FakeStudy], points: int, repetitions: int, method: Method
):
    fitted = walked(fake_study(), points, repetitions)
    assert [each.fit.mu.method for each in fitted] == [method] * points
    if method == Method.MODERATED:
        assert all(each.fit.mu_plain.method == Method.T for each in fitted)
        assert all(each.fit.mu.value == each.fit.mu_plain.value for each in fitted)
        assert all(each.fit.mu.low <= each.fit.mu.value <= each.fit.mu.high for each in fitted)


def test_kinds_of_training_are_pooled_apart(fake_study: type[FakeStudy]):
    """Four series trained with noise and four with noise at inference only make no eight of a kind."""
    study = fake_study()
    walked(study, 4)
    fitted = walked(study, 4, noise__in_training=False)
    assert len(fitted) == 8
    assert {each.fit.mu.method for each in fitted} == {Method.T}


def test_series_with_many_repetitions_stay_plain_among_moderated_ones(fake_study: type[FakeStudy]):
    study = fake_study()
    study.series({"model.batch_norm": True, "noise.point": 10}, 1.0, LEVELS, MOST_REPETITIONS + 1)
    methods = {each.series.point_name: each.fit.mu.method for each in walked(study, LEAST_SERIES)}
    assert methods.pop("10 fc4") == Method.T
    assert set(methods.values()) == {Method.MODERATED}


@pytest.mark.parametrize("in_training", [True, False])
def test_noise_at_inference_only_has_the_capped_degrees_of_freedom(fake_study: type[FakeStudy], in_training: bool):
    """Its series share the networks that are trained without noise."""
    (first, *_) = walked(fake_study(), LEAST_SERIES, noise__in_training=in_training)
    prior = first.fit.prior
    assert prior is not None
    assert prior.shares_networks == (not in_training)
    most = 1 / (0.09 + 0.91 / 8) if not in_training else 8.0
    assert prior.moderate(1e-4, 1)[1] == pytest.approx(min(prior.freedom + 1, most))


def test_bounds_do_not_count_among_the_eight(fake_study: type[FakeStudy]):
    study = fake_study()
    study.series({"model.batch_norm": True, "noise.point": 10}, 1e4, LEVELS, 2)
    fitted = walked(study, LEAST_SERIES - 1)
    assert sum(each.fit.mu.bound == "≥" for each in fitted) == 1
    assert all(each.fit.prior is None for each in fitted)
