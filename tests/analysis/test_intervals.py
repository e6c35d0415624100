from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest

from analysis.intervals import (
    DESIGN_CORRELATION,
    LEAST_SERIES,
    MOST_REPETITIONS,
    Estimate,
    VariancePrior,
    fit_prior,
    mean_accuracy,
    ratio_of_means,
    t_interval,
)


def three_values(variance: float, mean: float = 0.0) -> list[float]:
    """Three values with a mean and a variance."""
    return [mean - math.sqrt(variance), mean, mean + math.sqrt(variance)]


def two_kinds(spread: float, series: int = LEAST_SERIES) -> list[list[float]]:
    """Series of three repetitions: one half have the variance exp(spread), the others its reciprocal."""
    return [three_values(math.exp(spread * (-1) ** number)) for number in range(series)]


def test_textbook_t_interval():
    """Student's t with two degrees of freedom: 4.302653."""
    values = [0.30, 0.33, 0.27]
    mean, low, high = t_interval(values)
    half = 4.302653 * 0.03 / math.sqrt(3)
    assert (mean, low, high) == pytest.approx((0.30, 0.30 - half, 0.30 + half), rel=1e-6)


@pytest.mark.parametrize("values", [[], [0.3]])
@pytest.mark.parametrize("prior", [None, VariancePrior(0.01, 4.0, 8, shares_networks=False)])
def test_fewer_than_two_values_have_no_interval(values: list[float], prior: VariancePrior | None):
    mean, low, high = t_interval(values, prior)
    assert mean == pytest.approx(np.mean(values) if values else math.nan, nan_ok=True)
    assert math.isnan(low)
    assert math.isnan(high)


def test_bounds_and_unknown_numbers_are_not_known():
    assert Estimate(1.0).is_known
    assert not Estimate(1.0, bound="≥").is_known
    assert not Estimate(math.nan).is_known


@pytest.mark.parametrize(
    ("trigamma", "freedom", "scale"),
    [(math.pi**2 / 6, 2.0, 1.0), (math.pi**2 / 2, 1.0, 0.5), (math.pi**2 / 6 - 1, 4.0, math.exp(1) / 2)],
)
def test_prior_of_an_example_by_hand(trigamma: float, freedom: float, scale: float):
    """Smyth (2004), section 6.2, with two degrees of freedom per series.

    e = log(s^2) - digamma(1) + log(1) = log(s^2) + gamma has the mean gamma. Its variance over eight series with
    log(s^2) = +-a is 8 a^2 / 7. Less trigamma(1) = pi^2 / 6 it is trigamma(d0 / 2), whose values at 1, 1/2 and 2 are
    pi^2 / 6, pi^2 / 2 and pi^2 / 6 - 1. s0^2 = exp(gamma + digamma(d0 / 2) - log(d0 / 2)), where digamma is -gamma,
    -gamma - 2 log(2) and 1 - gamma.
    """
    spread = math.sqrt(7 / 8 * (math.pi**2 / 6 + trigamma))
    prior = fit_prior(two_kinds(spread), shares_networks=False)
    assert prior is not None
    assert prior.freedom == pytest.approx(freedom, rel=1e-8)
    assert prior.variance == pytest.approx(scale, rel=1e-8)
    small, large = math.exp(-spread), math.exp(spread)
    assert prior.moderate(small, 2) == pytest.approx((
        (freedom * scale + 2 * small) / (freedom + 2),
        min(freedom + 2, 2 * 8),
    ))  # fmt: skip
    assert prior.moderate(large, 2)[0] == large


def limma(variances: Sequence[float], freedoms: Sequence[float], shift: float = 1e-9) -> tuple[float, float]:
    """``d0`` and ``s0**2`` by the steps of limma's fitFDist, with Newton's iteration of its trigammaInverse."""
    from scipy.special import polygamma, psi

    half = np.array(freedoms) / 2
    e = np.log(variances) - psi(half) + np.log(half)
    left = e.var(ddof=1) - polygamma(1, half).mean()
    if left <= 0:
        return math.inf, math.exp(e.mean())
    y, step = 0.5 + 1 / left, math.inf
    while abs(step) > shift * y:
        trigamma = polygamma(1, y)
        step = trigamma * (1 - trigamma / left) / polygamma(2, y)
        y += step
    return 2 * y, math.exp(e.mean() + psi(y) - math.log(y))


@pytest.mark.parametrize("seed", range(8))
def test_prior_is_that_of_limma(seed: int):
    draw = np.random.default_rng(seed)
    sizes = draw.integers(2, MOST_REPETITIONS + 1, 20)
    scales = np.exp(draw.normal(0, seed / 4, 20))
    samples = [(scale * draw.normal(size=size)).tolist() for size, scale in zip(sizes, scales, strict=True)]
    prior = fit_prior(samples, shares_networks=False)
    assert prior is not None
    freedom, scale = limma([np.var(values, ddof=1) for values in samples], (sizes - 1).tolist())
    assert prior.freedom == pytest.approx(freedom, rel=1e-6)
    assert prior.variance == pytest.approx(scale, rel=1e-6)


def test_prior_finds_the_distribution_that_made_the_variances():
    draw = np.random.default_rng(1)
    variances = 0.04 * 6 / draw.chisquare(6, 4000)
    samples = [draw.normal(0, math.sqrt(variance), 4).tolist() for variance in variances]
    prior = fit_prior(samples, shares_networks=False)
    assert prior is not None
    assert prior.freedom == pytest.approx(6, rel=0.15)
    assert prior.variance == pytest.approx(0.04, rel=0.05)


def test_equal_variances_have_infinite_degrees_of_freedom():
    prior = fit_prior([three_values(0.01)] * 10, shares_networks=False)
    assert prior is not None
    assert prior.freedom == math.inf
    # The mean of the logarithm of a variance with two degrees of freedom is too small by gamma.
    assert prior.variance == pytest.approx(0.01 * math.exp(np.euler_gamma))
    assert prior.moderate(0.01, 2) == pytest.approx((prior.variance, 20.0))


def test_series_with_a_huge_variance_keeps_it():
    prior = fit_prior([*[three_values(0.01 + 0.001 * number) for number in range(10)], three_values(9.0)],
                      shares_networks=False)  # fmt: skip
    assert prior is not None
    variance, freedom = prior.moderate(9.0, 2)
    assert variance == 9.0
    assert freedom > 2
    moderated, plain = (t_interval(three_values(0.01), each) for each in (prior, None))
    assert moderated[0] == plain[0]
    assert prior.moderate(0.01, 2)[0] > 0.01


def test_series_that_share_networks_have_fewer_degrees_of_freedom():
    """Those of a mean of m variances with the correlation rho**2: d / (rho**2 + (1 - rho**2) / m)."""
    samples = [three_values(0.01)] * 11
    shared, own = (fit_prior(samples, shares_networks=each) for each in (True, False))
    assert shared is not None
    assert own is not None
    most = 2 / (DESIGN_CORRELATION**2 + (1 - DESIGN_CORRELATION**2) / 11)
    assert most == pytest.approx(11.58, abs=0.01)
    assert shared.moderate(0.01, 2)[1] == pytest.approx(most)
    assert own.moderate(0.01, 2)[1] == pytest.approx(22)
    few = VariancePrior(0.01, 3.0, 11, shares_networks=True)
    assert few.moderate(0.01, 2)[1] == 5.0


@pytest.mark.parametrize(
    "samples",
    [
        [three_values(0.01)] * (LEAST_SERIES - 1),
        [*[three_values(0.01)] * (LEAST_SERIES - 1), [1.0], []],
        [*[three_values(0.01)] * (LEAST_SERIES - 1), [float(value) for value in range(MOST_REPETITIONS + 1)]],
        [[0.3, 0.3, 0.3]] * LEAST_SERIES,
    ],
    ids=["few series", "few repetitions", "many repetitions", "no variance"],
)
def test_without_enough_variances_there_is_no_prior(samples: list[list[float]]):
    assert fit_prior(samples, shares_networks=False) is None


def test_repetitions_that_agree_do_not_break_the_prior():
    prior = fit_prior([*[three_values(0.01)] * LEAST_SERIES, [0.2, 0.2, 0.2]], shares_networks=False)
    assert prior is not None
    mean, low, high = t_interval([0.2, 0.2, 0.2], prior)
    assert low < mean < high


def test_mean_accuracy_is_limited_to_shares():
    assert mean_accuracy([0.99, 1.0, 0.9]).high == 1.0
    assert mean_accuracy([0.01, 0.0, 0.1]).low == 0.0
    only = mean_accuracy([0.9])
    assert (only.value, only.method) == (0.9, "")
    assert math.isnan(only.low)


def test_ratio_of_the_same_repetitions_is_paired():
    """Accuracies that are lost in proportion have a ratio without error."""
    reference = pd.Series([0.9, 0.8, 0.95], index=["0", "1", "2"])
    ratio = ratio_of_means(0.5 * reference, reference)
    assert (ratio.value, ratio.low, ratio.high) == pytest.approx((0.5, 0.5, 0.5))
    moved = (0.5 * reference).set_axis(["3", "4", "5"])
    independent = ratio_of_means(moved, reference)
    assert independent.low < 0.45 < 0.55 < independent.high


def test_ratio_of_other_repetitions_is_the_interval_of_welch():
    """With an exact denominator it is the t interval of the numerator."""
    numerator = pd.Series([0.4, 0.5, 0.6], index=["0", "1", "2"])
    denominator = pd.Series([0.8, 0.8], index=["3", "4"])
    _, low, high = t_interval((numerator / 0.8).tolist())
    ratio = ratio_of_means(numerator, denominator)
    assert (ratio.value, ratio.low, ratio.high) == pytest.approx((0.625, low, high))
