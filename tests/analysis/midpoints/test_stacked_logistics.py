from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy.special import expit

from analysis.figures import plateau
from analysis.midpoints.curves.single_fall import fit_single_fall
from analysis.midpoints.curves.stacked_logistics import LARGEST_P, LEAST_MISFIT, Shape, compare_shapes, fit_stacked
from analysis.midpoints.curves.weighted_fit import fit_logistic
from analysis.midpoints.flags import Flag
from analysis.midpoints.midpoint import fit_midpoint
from analysis.tables.table_files import Table
from tests.coverage.plateaus import Case, flagged, gompertz, logistic, mirrored, two

Array = NDArray[np.float64]

FINE = np.array([-np.inf, *np.linspace(-2, 8, 41)])


def two_steps(x: Array) -> Array:
    """A step from 0.95 to 0.5 at 0.3, and one from 0.5 to 0.1 at 4."""
    return 0.1 + 0.45 * expit((0.3 - x) / 0.15) + 0.4 * expit((4 - x) / 0.3)


def shape_of(accuracies: Array, x: Array = FINE) -> Shape:
    table = np.clip(np.atleast_2d(accuracies), 0, 1)
    mean = np.nanmean(table, axis=0)
    return compare_shapes(fit_logistic(x, mean), x, table)


def test_finds_the_two_logistics_that_made_the_points():
    two, squares = fit_stacked(FINE, two_steps(FINE), np.ones(len(FINE)))
    assert (two.mu_1, two.mu_2) == pytest.approx((0.3, 4.0), abs=1e-3)
    assert (two.sigma_1, two.sigma_2) == pytest.approx((0.15, 0.3), rel=1e-2)
    assert (two.a_max, two.a_mid, two.a_min) == pytest.approx((0.95, 0.5, 0.1), abs=1e-4)
    assert two(FINE) == pytest.approx(two_steps(FINE), abs=1e-4)
    assert squares == pytest.approx(((two(FINE) - two_steps(FINE)) ** 2).sum(), abs=1e-12)
    inner = np.linspace(-1, 6, 50)
    assert two.slope(inner) == pytest.approx((two(inner + 1e-5) - two(inner - 1e-5)) / 2e-5, abs=1e-6)


@pytest.mark.parametrize(
    "curve",
    [logistic(0.2), gompertz(0.3), mirrored(0.3), lambda x: expit(-x / 0.2) ** 0.5],
    ids=["logistic", "Gompertz", "mirrored Gompertz", "root of a logistic"],
)
def test_single_fall_finds_symmetric_and_asymmetric_falls(curve):
    x = np.array([-np.inf, *np.linspace(-2, 2, 21)])
    y = 0.1 + 0.8 * curve(x)
    fall, squares = fit_single_fall(x, y, np.ones(len(x)))
    assert fall == pytest.approx(y, abs=3e-3)
    assert squares == pytest.approx(((fall - y) ** 2).sum(), abs=1e-9)


@pytest.mark.parametrize("levels", [9, 17])
def test_error_rates_with_three_repetitions(levels: int):
    """Short form of tests/coverage/plateaus.py; its goals are 5 % missed and 2 % false."""
    draw = np.random.default_rng(levels)
    assert flagged(Case(two(1, 0.1)), levels, 40, draw) >= 0.95
    for curve in (logistic(0.1), logistic(0.3), logistic(0.15, remainder=0.4), gompertz(0.2), mirrored(0.2)):
        assert flagged(Case(curve), levels, 20, draw) == 0


@pytest.mark.parametrize("scatter", [0.0, 0.003, 0.02])
@pytest.mark.parametrize("levels", [13, pytest.param(25, marks=pytest.mark.slow), 49])
@pytest.mark.parametrize(
    ("curve", "plateau"),
    [
        (two_steps, True),
        (lambda x: 0.1 + 0.85 * expit((1 - x) / 0.2), False),
        (lambda x: 0.1 + 0.85 * expit((1 - x) / 0.2) ** 0.5, False),
        (lambda x: 0.6 + 0.35 * expit((1 - x) / 0.2), False),
    ],
    ids=["two", "one", "one that is skew", "one that falls in part"],
)
def test_one_repetition(curve, plateau: bool, levels: int, scatter: float):
    x = np.array([-np.inf, *np.linspace(-2, 8, levels)])
    draw = np.random.default_rng(levels)
    found = [shape_of(curve(x) + draw.normal(0, scatter, len(x)), x) for _ in range(5)]
    assert sum(shape.has_plateau == plateau for shape in found) >= 4
    if plateau:
        assert all(shape.two and abs(shape.two.mu_1 - 0.3) < 0.3 and abs(shape.two.mu_2 - 4) < 0.3 for shape in found)


def test_finds_a_small_upper_step_far_above_a_steep_one():
    with np.errstate(divide="ignore"):
        x = np.log10(np.unique([*np.linspace(0, 2, 21), *np.logspace(0, 10, 41)]))
    curve = 0.1 + 0.85 * (0.2 * expit((-0.3 - x) / 0.2) + 0.8 * expit((5.2 - x) / 0.1))
    draw = np.random.default_rng(0)
    for _ in range(20):
        two = shape_of(curve + draw.normal(0, 0.006, len(x)), x).two
        assert two is not None
        assert (two.mu_1, two.mu_2) == pytest.approx((-0.3, 5.2), abs=0.15)


def test_errors_of_the_midpoints_include_the_shifts_of_the_repetitions():
    draw = np.random.default_rng(0)
    found = []
    for _ in range(60):
        table = np.array([two_steps(FINE - shift) for shift in draw.normal(0, 0.05, 3)])
        two = shape_of(table + draw.normal(0, 0.01, table.shape)).two
        assert two is not None
        found.append((two.mu_1, two.mu_2, *two.errors))
    mu_1, mu_2, error_1, error_2 = np.array(found).T
    assert mu_1.std(ddof=1) == pytest.approx(np.sqrt(np.mean(error_1**2)), rel=0.3)
    assert mu_2.std(ddof=1) == pytest.approx(np.sqrt(np.mean(error_2**2)), rel=0.3)


def test_repetitions_far_apart_are_no_plateau():
    """The mean of three steep falls at different levels has plateaus; no repetition has one."""
    shape = shape_of(np.array([0.1 + 0.8 * expit((shift - FINE) / 0.03) for shift in (0, 2, 4)]))
    assert shape.misfit > 0.1
    assert not shape.has_plateau


def test_missing_runs():
    table = np.array([two_steps(FINE - shift) for shift in (-0.03, 0.0, 0.03)])
    table += np.random.default_rng(0).normal(0, 0.01, table.shape)
    table[0, 5], table[1, 20:] = np.nan, np.nan
    assert shape_of(table).has_plateau


def test_too_few_levels_for_two():
    x = np.linspace(-1, 6, 7)
    shape = shape_of(two_steps(x), x)
    assert shape.two is None
    assert not shape.has_plateau


def test_plateau_needs_a_level_between_the_midpoints():
    x = np.array([-1.0, -0.8, -0.6, -0.4, -0.2, 0.2, 0.4, 0.6, 0.8, 1])
    shape = shape_of(0.1 + 0.4 * expit((-0.1 - x) / 0.01) + 0.4 * expit((0.1 - x) / 0.01), x)
    assert not shape.has_plateau


def test_curves_that_meet_all_points_have_no_misfit():
    shape = shape_of(0.1 + 0.85 * expit((1 - FINE) / 0.2))
    assert shape.misfit < 1e-3
    assert shape.two is None
    assert not shape.has_plateau


def test_series_over_a_plateau_keeps_its_midpoint_and_is_flagged(fake_study):
    study = fake_study()
    levels = [0.0, *np.logspace(-1, 7, 33)]
    with np.errstate(divide="ignore"):
        accuracy = two_steps(np.log10(levels))
    for seed in range(3):
        for level, value in zip(levels, accuracy, strict=True):
            settings = {"noise.point": 3, "noise.kind": "multiplicative", "noise.std": float(level), "seed": seed}
            study.complete(settings, float(value) + 0.001 * seed)
    (each,) = study.analyse().fitted_series
    assert Flag.PLATEAU in each.fit.flags
    assert each.shape is not None
    assert each.shape.has_plateau
    assert each.fit.mu == fit_midpoint(each.series.used, each.series.chance_accuracy).mu
    assert 10**0.3 < each.fit.mu.value < 1e4


@pytest.mark.parametrize("accuracy", [0.95, 0.1135])
def test_equal_accuracies_have_no_shape(fake_study, accuracy: float):
    study = fake_study()
    for level in np.logspace(-1, 7, 33):
        study.complete({"noise.point": 3, "noise.std": float(level)}, accuracy)
    (each,) = study.analyse().fitted_series
    assert each.shape is None
    assert each.fit.weighted is None


def test_figure_and_table_of_plateaus(fake_study, tmp_path: Path):
    study = fake_study()
    levels = [0.0, *np.logspace(-1, 7, 33)]
    with np.errstate(divide="ignore"):
        x = np.log10(levels)
    for point, curve in ((3, two_steps(x)), (4, 0.1 + 0.85 * expit((1 - x) / 0.2))):
        for level, value in zip(levels, curve, strict=True):
            study.complete(
                {"noise.kind": "multiplicative", "noise.point": point, "noise.std": float(level)}, float(value)
            )
    plot, table = plateau.draw(study.analyse(), tmp_path)
    assert set(pd.read_csv(tmp_path / f"{plot.name}.csv")["point"]) == {"3 fc2"}
    fits = pd.read_csv(tmp_path / f"{table.name}.csv").set_index("point")
    assert fits["choice"].tolist() == ["two", "one"]
    assert (fits["misfit"] >= LEAST_MISFIT).tolist() == [True, False]
    assert (fits["p"] < LARGEST_P).tolist() == [True, False]
    assert fits[["mu_1", "mu_2"]].to_numpy()[0].tolist() == pytest.approx([10**0.3, 1e4], rel=0.01)
    assert "chosen for 1 of 2 series" in table.caption
    assert isinstance(table, Table)
    assert len(table.texts) == 1
