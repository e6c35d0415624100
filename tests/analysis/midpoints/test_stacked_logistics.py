from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy.special import expit

from analysis.figures import plateau
from analysis.midpoints.flags import Flag
from analysis.midpoints.midpoint import fit_midpoint
from analysis.midpoints.stacked_logistics import Shape, aicc, compare_shapes, fit_stacked
from analysis.midpoints.weighted_fit import fit_logistic, logistic
from analysis.tables.table_files import Table

Array = NDArray[np.float64]

FINE = np.array([-np.inf, *np.linspace(-2, 8, 41)])


def two_steps(x: Array) -> Array:
    """A step from 0.95 to 0.5 at 0.3, and one from 0.5 to 0.1 at 4."""
    return 0.1 + 0.45 * expit((0.3 - x) / 0.15) + 0.4 * expit((4 - x) / 0.3)


def shape_of(y: Array, x: Array = FINE, error: Array | None = None) -> Shape:
    return compare_shapes(fit_logistic(x, y, error), x, y, error)


def test_finds_the_two_logistics_that_made_the_points():
    two = fit_stacked(FINE, two_steps(FINE))
    assert (two.mu_1, two.mu_2) == pytest.approx((0.3, 4.0), abs=1e-3)
    assert (two.sigma_1, two.sigma_2) == pytest.approx((0.15, 0.3), rel=1e-2)
    assert (two.a_max, two.a_mid, two.a_min) == pytest.approx((0.95, 0.5, 0.1), abs=1e-4)
    assert two(FINE) == pytest.approx(two_steps(FINE), abs=1e-4)


@pytest.mark.parametrize("scatter", [0.0, 0.003, 0.02])
@pytest.mark.parametrize("levels", [13, 25, 49])
@pytest.mark.parametrize(
    ("curve", "plateau"),
    [
        (two_steps, True),
        (lambda x: logistic(x, 1.0, 0.2, 0.1, 0.95), False),
        (lambda x: 0.1 + 0.85 * expit((1 - x) / 0.2) ** 0.5, False),
        (lambda x: logistic(x, 1.0, 0.2, 0.6, 0.95), False),
    ],
    ids=["two", "one", "one that is skew", "one that falls in part"],
)
def test_chooses_two_where_there_is_a_plateau(curve, plateau: bool, levels: int, scatter: float):
    x = np.array([-np.inf, *np.linspace(-2, 8, levels)])
    draw = np.random.default_rng(levels)
    found = [shape_of(np.clip(curve(x) + draw.normal(0, scatter, len(x)), 0, 1), x) for _ in range(5)]
    assert sum(shape.has_plateau == plateau for shape in found) >= 4
    if plateau:
        assert all(shape.two and abs(shape.two.mu_1 - 0.3) < 0.3 and abs(shape.two.mu_2 - 4) < 0.3 for shape in found)


def test_finds_a_small_upper_step_far_above_a_steep_one():
    with np.errstate(divide="ignore"):
        x = np.log10(np.unique([*np.linspace(0, 2, 21), *np.logspace(0, 10, 41)]))
    curve = 0.1 + 0.85 * (0.2 * expit((-0.3 - x) / 0.2) + 0.8 * expit((5.2 - x) / 0.1))
    draw = np.random.default_rng(0)
    for _ in range(20):
        two = shape_of(np.clip(curve + draw.normal(0, 0.006, len(x)), 0, 1), x).two
        assert two is not None
        assert (two.mu_1, two.mu_2) == pytest.approx((-0.3, 5.2), abs=0.15)


def test_weights_and_errors_of_the_midpoints():
    draw = np.random.default_rng(0)
    found = []
    for _ in range(30):
        noisy = np.clip(two_steps(FINE) + draw.normal(0, 0.01, len(FINE)), 0, 1)
        two = shape_of(noisy, error=np.full(len(FINE), 0.01)).two
        assert two is not None
        found.append((two.mu_1, two.mu_2, *two.errors))
    mu_1, mu_2, error_1, error_2 = np.array(found).T
    assert mu_1.std(ddof=1) == pytest.approx(np.median(error_1), rel=0.5)
    assert mu_2.std(ddof=1) == pytest.approx(np.median(error_2), rel=0.5)


def test_too_few_levels_for_two():
    x = np.linspace(-1, 6, 8)
    shape = shape_of(two_steps(x), x)
    assert shape.two is None
    assert math.isinf(shape.aicc_two)
    assert not shape.has_plateau


def test_plateau_needs_three_sampled_levels():
    x = np.array([-2.0, -1.5, -1, -0.5, 0, 0.3, 0.6, 1.5, 2.5, 3.7, 4, 4.3, 5, 6, 7])
    without = np.delete(x, [7])
    assert shape_of(two_steps(x), x).levels_on_plateau == 2
    assert shape_of(two_steps(without), without).levels_on_plateau < 3
    assert not shape_of(two_steps(x), x).has_plateau


def test_criterion_is_that_of_a_normal_likelihood_with_unknown_scale():
    residual = np.random.default_rng(1).normal(0, 0.05, 20)
    variance = np.mean(residual**2)
    log_likelihood = -10 * (math.log(2 * math.pi * variance) + 1)
    corrected = -2 * log_likelihood + 2 * 5 + 2 * 5 * 6 / (20 - 5 - 1)
    constant = 20 * (math.log(2 * math.pi) + 1)
    assert aicc(residual, None, 4) == pytest.approx(corrected - constant, abs=0.01)
    assert aicc(10 * residual, None, 4) - aicc(residual, None, 4) == pytest.approx(40 * math.log(10), abs=0.01)


def test_curves_that_meet_all_points_have_a_finite_criterion():
    shape = shape_of(logistic(FINE, 1.0, 0.2, 0.1, 0.95))
    assert math.isfinite(shape.aicc_one)
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
    assert 10**0.3 < each.fit.mu < 1e4


@pytest.mark.parametrize("accuracy", [0.95, 0.1135])
def test_equal_accuracies_have_no_shape(fake_study, accuracy: float):
    study = fake_study()
    for level in np.logspace(-1, 7, 33):
        study.complete({"noise.point": 3, "noise.std": float(level)}, accuracy)
    (each,) = study.analyse().fitted_series
    assert each.shape is None
    assert each.fit.curve is None


def test_figure_and_table_of_plateaus(fake_study, tmp_path: Path):
    study = fake_study()
    levels = [0.0, *np.logspace(-1, 7, 33)]
    with np.errstate(divide="ignore"):
        x = np.log10(levels)
    for point, curve in ((3, two_steps(x)), (4, logistic(x, 1.0, 0.2, 0.1, 0.95))):
        for level, value in zip(levels, curve, strict=True):
            study.complete(
                {"noise.kind": "multiplicative", "noise.point": point, "noise.std": float(level)}, float(value)
            )
    plot, table = plateau.draw(study.analyse(), tmp_path)
    assert set(pd.read_csv(tmp_path / f"{plot.name}.csv")["point"]) == {"3 fc2"}
    fits = pd.read_csv(tmp_path / f"{table.name}.csv").set_index("point")
    assert fits["choice"].tolist() == ["two", "one"]
    assert np.isfinite(fits[["aicc_one", "aicc_two"]].to_numpy(float)).all()
    assert fits[["mu_1", "mu_2"]].to_numpy()[0].tolist() == pytest.approx([10**0.3, 1e4], rel=0.01)
    assert "chosen for 1 of 2 series" in table.caption
    assert isinstance(table, Table)
    assert len(table.texts) == 1
