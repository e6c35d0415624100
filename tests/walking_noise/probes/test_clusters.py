"""Clusters of values from distributions with known clusters."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from walking_noise.probes.clusters import find_clusters

Array = NDArray[np.float32]


def mixture(*parts: tuple[float, float, int], seed: int = 0) -> Array:
    """Normally distributed values, given as (mean, standard deviation, number), in random order."""
    random = np.random.default_rng(seed)
    values = np.concatenate([random.normal(mean, std, size) for mean, std, size in parts])
    return random.permutation(values).astype(np.float32)


BELL = (0.0, 1.0, 50_000)
ZERO, UP, DOWN = (0.0, 0.1, 30_000), (1.2, 0.3, 10_000), (-1.0, 0.3, 10_000)

KNOWN: dict[str, tuple[Array, int]] = {
    "a bell": (mixture(BELL), 1),
    "a rectified bell": (mixture(BELL).clip(0), 1),
    "evenly spread": (np.linspace(-1, 1, 40_001, dtype=np.float32), 1),
    "heavy tails": (mixture(BELL) ** 3, 1),
    "a bell off zero": (mixture((0.7, 1.0, 50_000)), 1),
    "all the same": (np.full(100, 3, np.float32), 1),
    "nothing but zero": (np.zeros(100, np.float32), 1),
    "a peak off zero": (mixture((5.0, 0.2, 10_000)), 1),
    "zero and a peak": (mixture(ZERO, UP), 2),
    "exact zeros and a peak": (np.concatenate([np.zeros(5000), mixture((1.2, 0.1, 5000))]), 2),
    "two peaks and no zero": (mixture((1.0, 0.1, 300), (-1.2, 0.1, 340)), 2),
    "zero and two peaks": (mixture(ZERO, UP, DOWN), 3),
    "a faint third peak": (mixture(ZERO, UP, (-1.0, 0.3, 1_000)), 2),
}


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e16])
@pytest.mark.parametrize("name", KNOWN)
def test_clusters_are_counted_on_any_scale(name: str, scale: float) -> None:
    values, count = KNOWN[name]
    assert find_clusters((values * scale).astype(np.float32)).count == count


def test_a_valley_splits_the_values() -> None:
    found = find_clusters(mixture(ZERO, UP, DOWN))
    assert 0.2 < found.threshold < 0.7
    assert (found.negative, found.positive) == pytest.approx((-1.0, 1.2), abs=0.02)
    assert found.shares == pytest.approx((0.2, 0.6, 0.2), abs=0.01)
    assert found.peak == pytest.approx(1.1, abs=0.2)
    assert 0.5 < found.depth < 1


def test_without_a_valley_each_value_goes_to_the_nearer_of_zero_and_its_peak() -> None:
    """For a Gaussian, threshold and means are those of the optimal quantiser to three values (Max, 1960, table I)."""
    found = find_clusters(mixture(BELL))
    assert found.threshold == pytest.approx(0.6120, abs=0.02)
    assert (-found.negative, found.positive) == pytest.approx((1.224, 1.224), abs=0.03)
    assert found.depth == 0


@pytest.mark.parametrize("size", [640, 5_000])
def test_random_dips_are_no_valleys(size: int) -> None:
    counts = [find_clusters(mixture((0.0, 1.0, size), seed=seed)).count for seed in range(100)]
    assert counts == [1] * 100


def test_values_become_zero_or_the_mean_of_their_peak() -> None:
    found = find_clusters(mixture(ZERO, UP, DOWN))
    values = torch.tensor([[0.05, -0.1, 1.4], [-3.0, 0.0, float("inf")]])
    expected = torch.tensor([[0, 0, found.positive], [found.negative, 0, found.positive]])
    assert torch.equal(found.quantise(values), expected)


def test_quantised_values_are_their_own_clusters() -> None:
    values = mixture(ZERO, UP, DOWN)
    once = find_clusters(values).quantise(torch.from_numpy(values))
    again = find_clusters(once.numpy())
    assert again.count == 3
    assert torch.allclose(again.quantise(once), once)


def test_nothing_but_zero_stays_zero() -> None:
    values = np.zeros(10, np.float32)
    found = find_clusters(values)
    assert (found.threshold, found.shares) == (0.0, (0.0, 1.0, 0.0))
    assert torch.equal(found.quantise(torch.from_numpy(values)), torch.zeros(10))
