"""Allocation of executions: exact budgets, the optimum against every allocation, predicted factors, real networks."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest

from analysis.errors import AnalysisError
from analysis.midpoints.allocation import (
    BY_COST,
    OPTIMUM,
    RANKS,
    UNIFORM,
    allocations,
    in_proportion,
    measured_networks,
    predicted_factor,
)
from analysis.midpoints.from_python import frame_of
from analysis.midpoints.study import analyse
from tests.walking_noise.running import HERE
from walking_noise import RunConfig, train


def variance(mu: list[float], numbers: tuple[int, ...]) -> float:
    return sum(1 / (n * level**2) for level, n in zip(mu, numbers, strict=True))


@pytest.mark.parametrize("budget", [1, 2, 3, 7, 20])
def test_every_scheme_uses_its_budget_exactly(budget: int) -> None:
    random = np.random.default_rng(budget)
    for _ in range(50):
        mu = (10 ** random.uniform(-2, 2, random.integers(2, 17))).tolist()
        found = allocations(mu, budget)
        assert BY_COST not in found
        for numbers in found.values():
            assert sum(numbers) == budget * len(mu)
            assert min(numbers) >= 1
        assert found[UNIFORM] == (budget,) * len(mu)
        assert min(found.values(), key=lambda numbers: variance(mu, numbers)) == found[OPTIMUM] or math.isclose(
            variance(mu, found[OPTIMUM]), min(variance(mu, numbers) for numbers in found.values())
        )
        weakest_first = np.argsort(mu)
        for scheme in (*[name for name in found if name.startswith("μ")], RANKS):
            assert sorted(found[scheme], reverse=True) == [found[scheme][point] for point in weakest_first]


def test_the_optimum_is_the_best_of_all_allocations() -> None:
    random = np.random.default_rng(0)
    for _ in range(20):
        mu = (10 ** random.uniform(-1, 1, 4)).tolist()
        every = (one for one in itertools.product(range(1, 10), repeat=4) if sum(one) == 12)
        best = min(every, key=lambda numbers: variance(mu, numbers))
        assert variance(mu, allocations(mu, 3)[OPTIMUM]) == pytest.approx(variance(mu, best))


def test_proportions_are_rounded_by_largest_remainders() -> None:
    assert in_proportion(np.array([3.0, 2.0, 1.0]), 12) == (6, 4, 2)
    assert in_proportion(np.array([5.0, 3.0, 2.0]), 11) == (6, 3, 2)
    assert in_proportion(np.array([1e9, 1.0, 1.0]), 9) == (7, 1, 1)


def test_a_budget_of_multiply_accumulates_is_not_exceeded() -> None:
    mu, costs = [0.1, 1.0, 0.2, 3.0], [1000, 10, 0, 500]
    numbers = allocations(mu, 3, costs)[BY_COST]
    spent = sum(n * cost for n, cost in zip(numbers, costs, strict=True))
    assert 3 * sum(costs) - min(cost for cost in costs if cost) < spent <= 3 * sum(costs)
    assert numbers[2] == 1
    assert numbers[0] > 1


def test_the_predicted_factor_of_the_optimum() -> None:
    """``√(L·Σμ⁻²)/Σμ⁻¹`` for numbers in proportion to 1/μ, without rounding."""
    mu = [0.1, 0.2, 0.4, 1.0]
    inverse = np.array([1 / level for level in mu])
    expected = math.sqrt(4 * (inverse**2).sum()) / inverse.sum()
    assert predicted_factor(mu, allocations(mu, 1000)[OPTIMUM]) == pytest.approx(expected, rel=1e-3)
    assert predicted_factor(mu, (3, 3, 3, 3)) == pytest.approx(1.0)


@pytest.mark.parametrize(("mu", "budget"), [([1.0, math.nan], 2), ([1.0, 0.0], 2), ([1.0, 2.0], 0)])
def test_refusals(mu: list[float], budget: int) -> None:
    with pytest.raises(AnalysisError, match="a budget of at least 1, and a midpoint above 0"):
        allocations(mu, budget)


def test_the_networks_of_a_study() -> None:
    """Real runs of the MLP: midpoints at every point and under global noise, and runs that do not count."""
    shared: dict[str, Any] = {"noise.in_training": False, "training.epochs": 4, "training.learning_rate": 3e-3}
    configs = [
        RunConfig.from_dict({**shared, "noise.point": point, "noise.std": std, "seed": seed})
        for point in ("global", *range(8)) for std in (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0) for seed in (0, 1)
    ]  # fmt: skip
    configs += [
        RunConfig.from_dict({**shared, "noise.std": std, "noise.executions": 2, "seed": seed})
        for std in (0.3, 1.0, 3.0, 10.0) for seed in (0, 1)
    ]  # fmt: skip
    frame = frame_of(configs, train(configs, **HERE))
    (network,) = measured_networks(analyse(frame))
    assert len(network.mu) == 8
    assert network.seeds == {0, 1}
    assert network.everywhere.settings["noise.point"] == "global"
    assert min(network.mu) > network.everywhere.fit.mu.value
    assert network.costs[:2] == [0, 784 * 64]
    assert measured_networks(analyse(frame[frame["noise.point"] != 3])) == []
