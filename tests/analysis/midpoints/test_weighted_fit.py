from __future__ import annotations

import numpy as np
import pytest

from analysis.midpoints.curves.weighted_fit import fit_logistic, logistic


@pytest.mark.parametrize("mu", [-1.7, 0.0, 0.31, 2.9])
@pytest.mark.parametrize("sigma", [0.05, 0.15, 0.6])
@pytest.mark.parametrize("plateaus", [(0.1, 0.98), (0.6, 0.7), (0.0, 1.0)])
def test_finds_the_curve_that_made_the_points(mu: float, sigma: float, plateaus: tuple[float, float]):
    x = np.linspace(-4, 5, 40)
    curve = fit_logistic(x, logistic(x, mu, sigma, *plateaus))
    assert curve.mu == pytest.approx(mu, abs=1e-6)
    assert curve.sigma == pytest.approx(sigma, rel=1e-5)
    assert (curve.a_min, curve.a_max) == pytest.approx(plateaus, abs=1e-7)


def test_infinite_noise_and_none_at_all_give_the_plateaus():
    assert logistic(np.array([-np.inf, np.inf]), 0.3, 0.1, 0.2, 0.9) == pytest.approx([0.9, 0.2])


def test_point_without_noise_settles_the_upper_plateau():
    x = np.array([-np.inf, 0.0, 0.1, 0.2, 0.4, 0.6, 1.0])
    y = logistic(x, 0.05, 0.1, 0.1, 0.9)
    curve = fit_logistic(x, y)
    assert curve.a_max == pytest.approx(0.9, abs=1e-6)
    assert curve.mu == pytest.approx(0.05, abs=1e-5)


def test_errors_scale_with_absolute_uncertainties_only():
    draw = np.random.default_rng(0)
    x = np.linspace(-2, 2, 17)
    y = logistic(x, 0.2, 0.2, 0.1, 0.9) + draw.normal(0, 0.005, len(x))
    small, large = np.full(len(x), 0.01), np.full(len(x), 0.1)
    absolute = [fit_logistic(x, y, error).errors[0] for error in (small, large)]
    relative = [fit_logistic(x, y, error, absolute=False).errors[0] for error in (small, large)]
    assert absolute[1] == pytest.approx(10 * absolute[0], rel=1e-4)
    assert relative[1] == pytest.approx(relative[0], rel=1e-4)
    assert relative[0] == pytest.approx(fit_logistic(x, y).errors[0], rel=1e-4)
