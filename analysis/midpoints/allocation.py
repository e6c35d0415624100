"""Allocation of executions to noisy layers: many where the midpoint noise level is low (Walking Noise v2).

The mean of n executions of a layer divides its noise by √n. A scheme spends a budget of B executions per noise point
on average. The optimum minimises the sum of the noise variances relative to what the points tolerate, Σ 1/(n_l μ_l²);
without rounding, it has n_l proportional to 1/μ_l and tolerates √(L·Σμ⁻²)/Σμ⁻¹ times the level that L points with equal
numbers tolerate.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from analysis.errors import AnalysisError
from analysis.midpoints.study import FittedSeries, Study
from analysis.runs.noise_kinds import kind_of

UNIFORM, OPTIMUM, BY_COST = "uniform", "optimum", "optimum by cost"
EXPONENTS: Mapping[str, float] = {"μ^-1/2": 0.5, "μ^-1": 1.0, "μ^-2": 2.0}
"""Schemes with n_l proportional to a power of the midpoint -> the negative exponent."""
RANKS = "ranks"


def allocations(mu: Sequence[float], budget: int, costs: Sequence[float] = ()) -> dict[str, tuple[int, ...]]:
    """The numbers of executions at each noise point, by scheme.

    Every scheme but :data:`BY_COST` uses exactly ``budget`` executions per point on average, at least one at each.

    Parameters
    ----------
    mu
        Midpoint noise level of each point, above 0.
    budget
        Mean number of executions, at least 1.
    costs
        Multiply-accumulates of the layer before each point. If given, the scheme :data:`BY_COST` spends at most
        ``budget`` times their sum; points without any keep one execution.
    """
    levels = np.asarray(mu, dtype=float)
    if budget < 1 or not (np.isfinite(levels) & (levels > 0)).all():
        raise AnalysisError("an allocation needs a budget of at least 1, and a midpoint above 0 for every point")
    total = budget * len(levels)
    ranks = np.empty(len(levels))
    ranks[np.argsort(-levels, kind="stable")] = np.arange(1, len(levels) + 1)
    found = {UNIFORM: (budget,) * len(levels)}
    found |= {name: in_proportion(levels**-exponent, total) for name, exponent in EXPONENTS.items()}
    found[RANKS] = in_proportion(ranks, total)
    found[OPTIMUM] = optimum(levels, [1.0] * len(levels), total)
    if any(costs):
        found[BY_COST] = optimum(levels, costs, budget * sum(costs))
    return found


def in_proportion(weights: np.ndarray, total: int) -> tuple[int, ...]:
    """Whole numbers in proportion to weights, each at least 1, with a given sum: the largest remainders are rounded up.

    Numbers below 1 become 1, and the others share what is left.
    """
    numbers = np.zeros(len(weights))
    free = np.ones(len(weights), dtype=bool)
    while True:
        numbers[free] = weights[free] / weights[free].sum() * (total - (~free).sum())
        small = free & (numbers < 1)
        if not small.any():
            break
        numbers[small], free = 1, free & ~small
    whole = np.floor(numbers + 1e-9).astype(int)
    missing = total - whole.sum()
    whole[np.argsort(whole - numbers, kind="stable")[:missing]] += 1
    return tuple(whole.tolist())


def optimum(mu: np.ndarray, costs: Sequence[float], budget: float) -> tuple[int, ...]:
    """The numbers that minimise Σ 1/(n_l μ_l²) within a budget Σ n_l c_l, one execution at a time.

    For equal costs this is exact, since the sum is convex and separable. For others it takes, as long as one fits, the
    execution with the largest gain per cost. Points without cost keep one execution.
    """
    numbers, spent = [1] * len(mu), sum(costs)
    gains = [(-1 / (2 * mu[point] ** 2 * cost), point) for point, cost in enumerate(costs) if cost > 0]
    heapq.heapify(gains)
    while gains:
        _, point = heapq.heappop(gains)
        if spent + costs[point] > budget:
            continue
        numbers[point] += 1
        spent += costs[point]
        n = numbers[point]
        heapq.heappush(gains, (-1 / (n * (n + 1) * mu[point] ** 2 * costs[point]), point))
    return tuple(numbers)


def predicted_factor(mu: Sequence[float], numbers: Sequence[int]) -> float:
    """Ratio of the tolerated levels, with these numbers of executions and with equal ones of the same sum."""
    inverse = [1 / level**2 for level in mu]
    mean = sum(numbers) / len(numbers)
    return math.sqrt(sum(inverse) / mean / sum(one / n for one, n in zip(inverse, numbers, strict=True)))


@dataclass(frozen=True, eq=False)
class MeasuredNetwork:
    """A network whose midpoints at inference only were measured at every noise point, and under global noise."""

    at_point: Mapping[int, FittedSeries]
    everywhere: FittedSeries

    @property
    def mu(self) -> list[float]:
        """The midpoint at each noise point."""
        return [self.at_point[point].fit.mu.value for point in sorted(self.at_point)]

    @property
    def costs(self) -> list[int]:
        """The multiply-accumulates of the layer before each noise point."""
        return [point.multiply_accumulates for point in self.everywhere.series.points]

    @property
    def seeds(self) -> set[int]:
        """The seeds of the runs."""
        return {int(seed) for each in (*self.at_point.values(), self.everywhere) for seed in each.series.runs["seed"]}


def measured_networks(study: Study) -> list[MeasuredNetwork]:
    """The networks of a study for which executions can be allocated.

    They have noise at inference only on activations, of a kind with draws and one level, drawn anew for each execution,
    and a midpoint at every noise point and under global noise.
    """
    chosen = [
        each for each in study.fitted_series
        if not each.settings["noise.in_training"] and each.settings["noise.executions"] == 1
        and each.settings["noise.target"] == "activations" and each.settings["noise.redraw"] != "chip"
        and kind_of(each.settings).level_setting == "std" and each.fit.mu.value > 0
    ]  # fmt: skip
    walks: dict[str, dict[int, FittedSeries]] = {}
    for each in chosen:
        if isinstance(each.settings["noise.point"], int):
            walks.setdefault(_without_point(each), {})[each.settings["noise.point"]] = each
    found = []
    for each in chosen:
        walk = walks.get(_without_point(each), {})
        if each.settings["noise.point"] == "global" and len(walk) == len(each.series.points):
            found.append(MeasuredNetwork(walk, each))
    return found


def _without_point(series: FittedSeries) -> str:
    """Key that is equal for series that differ only in the noise point."""
    return repr([(name, value) for name, value in sorted(series.settings.items()) if name != "noise.point"])
