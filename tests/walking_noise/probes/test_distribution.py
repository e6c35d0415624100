"""Histograms on a linear and on a logarithmic axis."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest

from walking_noise.probes.distribution import Histogram, distribution


def width(histogram: Histogram) -> float:
    return (histogram.high - histogram.low) / len(histogram.counts)


def test_a_density_integrates_to_one_but_for_the_tails() -> None:
    values = np.random.default_rng(0).normal(size=50_000).astype(np.float32)
    found = distribution(values)
    assert (found.size, found.zeros, found.nonfinite) == (50_000, 0, 0)
    assert sum(found.linear.counts) / found.size == pytest.approx(0.998, abs=1e-4)
    density = np.array(found.linear.counts) / found.size / width(found.linear)
    assert density.max() == pytest.approx(1 / np.sqrt(2 * np.pi), rel=0.05)


@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e16])
def test_either_side_of_zero_has_its_logarithms_in_the_same_bins(scale: float) -> None:
    values = (np.array([-100] * 10 + [0] * 5 + [1] * 20 + [10] * 7) * scale).astype(np.float32)
    found = distribution(values)
    assert found.zeros == 5 / 42
    assert found.negative is not None
    assert found.positive is not None
    assert (found.negative.low, found.negative.high) == (found.positive.low, found.positive.high)
    assert (found.negative.low, found.negative.high) == pytest.approx(np.log10([scale, 100 * scale]), abs=1e-3)
    assert sum(found.negative.counts) == found.negative.counts[-1] == 10
    assert found.positive.counts[0] == 20
    assert sum(found.positive.counts) == 27


def test_a_side_without_values_has_no_histogram() -> None:
    found = distribution(np.array([0, 1, 2], np.float32))
    assert found.negative is None
    assert found.positive is not None


@pytest.mark.parametrize("value", [0.0, 1e-30, -3.0, 1e30])
def test_equal_values_fill_one_bin(value: float) -> None:
    found = distribution(np.full(9, value, np.float32))
    assert max(found.linear.counts) == sum(found.linear.counts) == 9
    assert found.linear.low < np.float32(value) < found.linear.high
    assert json.loads(json.dumps(asdict(found))) == asdict(found), "a document holds plain numbers"


@pytest.mark.parametrize(("low", "high"), [(-3.4e38, 3.4e38), (0.0, 1e-45)])
def test_the_ends_of_float32_have_histograms(low: float, high: float) -> None:
    found = distribution(np.array([low, high] * 9, np.float32))
    assert (found.linear.counts[0], found.linear.counts[-1], sum(found.linear.counts)) == (9, 9, 18)


def test_values_that_are_not_finite_are_counted_apart() -> None:
    found = distribution(np.array([1, 2, np.inf, np.nan], np.float32))
    assert (found.size, found.nonfinite) == (4, 0.5)
    assert sum(found.linear.counts) == 2
