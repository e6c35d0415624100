from __future__ import annotations

import math

import pytest

from analysis.runs.run_frame import STATE_NAMES, to_frame
from analysis.runs.series import Series, group_series


def series_of(*studies) -> list[Series]:
    return group_series(to_frame(document for study in studies for document in study.source().documents))


def only(*studies) -> Series:
    (series,) = series_of(*studies)
    return series


def test_series_differ_in_more_than_level_and_seeds(whole_study):
    found = series_of(whole_study)
    curves = [series for series in found if series.has_curve]
    assert len(curves) == 4 + 22
    assert [series.settings["noise.kind"] for series in found if not series.has_curve] == ["none"]
    assert len({repr(series.settings) for series in found}) == len(found)
    assert sum(len(series.runs) + series.repeated for series in found) == len(whole_study.documents)


def test_order_of_series_does_not_depend_on_the_order_of_documents(whole_study):
    study = type(whole_study)()
    study.documents = whole_study.documents[::-1]
    forwards, backwards = series_of(whole_study), series_of(study)
    assert [series.settings for series in forwards] == [series.settings for series in backwards]
    points = [series.settings["noise.point"] for series in forwards if isinstance(series.settings["noise.point"], int)]
    assert points == sorted(points)


def test_curve_is_mean_and_deviation_over_repetitions(fake_study):
    study = fake_study()
    for seed, accuracy in enumerate((0.8, 0.9, 0.85)):
        study.complete({"noise.std": 0.5, "seed": seed}, accuracy)
    study.complete({"noise.std": 2.0, "seed": 0}, 0.2)
    study.add({"noise.std": 2.0, "seed": 1}, "PENDING")
    study.add({"noise.std": 4.0, "seed": 0}, "FAILED")
    curve = only(study).curve
    assert curve["level"].tolist() == [0.5, 2.0, 4.0]
    assert curve["n"].tolist() == [3, 1, 0]
    assert curve["planned"].tolist() == [3, 2, 1]
    assert curve["mean"][:2].tolist() == pytest.approx([0.85, 0.2])
    assert curve["std"][0] == pytest.approx(0.05)
    assert curve["std"][1:].isna().all()
    assert math.isnan(curve["mean"][2])


def test_overflow_is_left_out_and_divergence_is_a_result(fake_study):
    study = fake_study()
    study.complete({"noise.std": 1.0, "seed": 0}, 0.9)
    study.complete({"noise.std": 1.0, "seed": 1}, 0.1, outcome="diverged", diverged_epoch=1)
    study.complete({"noise.std": 1.0, "seed": 2}, 0.0, outcome="overflow", overflow_epoch=1)
    series = only(study)
    assert series.used["accuracy"].tolist() == [0.9, 0.1]
    assert series.curve[["n", "overflow", "diverged"]].to_numpy().tolist() == [[2, 1, 1]]
    assert (series.counts["used"], series.counts["overflow"], series.counts["diverged"]) == (2, 1, 1)


def test_every_planned_run_is_used_or_accounted_for(whole_study):
    for series in series_of(whole_study):
        counts = series.counts
        missing = counts["overflow"] + sum(counts[state] for state in STATE_NAMES if state != "completed")
        assert counts["planned"] == counts["used"] + missing


def test_level_zero_is_a_point_of_every_series_that_has_it(fake_study):
    study = fake_study()
    for kind in ("additive", "multiplicative"):
        for point in ("global", 0, 5):
            for std in (0.0, 1.0):
                study.complete({"noise.kind": kind, "noise.point": point, "noise.std": std}, 0.9)
    found = series_of(study)
    assert len(found) == 6
    assert all(series.curve["level"].tolist() == [0.0, 1.0] for series in found)
    assert all(series.repeated == 0 for series in found)


def test_equal_runs_count_once(fake_study):
    first, second = fake_study("first"), fake_study("second")
    first.add({"noise.std": 0.5, "seed": 1}, "FAILED")
    second.complete({"noise.std": 0.5, "seed": 1}, 0.7)
    second.complete({"noise.std": 0.5, "seed": 1, "noise.seed": 1}, 0.9)
    second.complete({"noise.std": 0.5, "seed": 2}, 0.8)
    series = only(first, second)
    assert series.repeated == series.counts["repeated"] == 2
    assert len(series.runs) == 2
    assert series.used["accuracy"].tolist() == [0.7, 0.8]


def test_storage_settings_do_not_split_a_series(fake_study):
    study = fake_study()
    study.complete({"noise.std": 0.5}, 0.7)
    study.complete({"noise.std": 0.5, "evaluation.curve": True}, 0.7, validation_curve=[0.5, 0.7])
    study.complete({"noise.std": 1.0, "training.keep_network": True}, 0.6, network="abc.npz")
    study.complete({"noise.std": 1.0}, 0.6)
    series = only(study)
    assert len(series.runs) == 2
    assert series.runs["validation_curve"].notna().sum() == 1
    assert series.runs["network"].notna().sum() == 1


def test_level_of_mixed_noise_is_its_amplitude(fake_study):
    study = fake_study()
    for amplitude in (0.1, 1.0):
        for ratio in (0.1, 0.9):
            study.complete({"noise.kind": "mixed", "noise.amplitude": amplitude, "noise.ratio": ratio}, 0.9)
    found = series_of(study)
    assert [series.settings["noise.ratio"] for series in found] == [0.1, 0.9]
    assert all(series.curve["level"].tolist() == [0.1, 1.0] for series in found)


def test_mapped_noise_has_no_curve(fake_study):
    study = fake_study()
    for std in (0.1, 0.2):
        for seed in (0, 1):
            study.complete({"noise.point": "mapped", "noise.std": [std] * 8, "seed": seed}, 0.9)
    found = series_of(study)
    assert [len(series.runs) for series in found] == [2, 2]
    assert not any(series.has_curve for series in found)
    assert found[0].settings["noise.std"] == (0.1,) * 8


def test_points_have_their_numbers_and_names(fake_study):
    study = fake_study()
    study.add({"model.batch_norm": True, "noise.point": 3})
    study.add({})
    at_point, everywhere = sorted(series_of(study), key=lambda series: series.point_name)
    assert (at_point.point_name, everywhere.point_name) == ("3 relu1", "global")
    assert len(at_point.points) == 11


def test_series_without_any_result(fake_study):
    study = fake_study()
    study.add({"noise.std": 1.0}, "STAGED")
    series = only(study)
    assert math.isnan(series.chance_accuracy)
    assert series.curve["n"].tolist() == [0]
    assert series.counts["staged"] == 1
