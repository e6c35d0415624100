"""Grid file that compares schemes of executions, from the networks of :mod:`analysis.midpoints.allocation`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import RenderableType

from analysis.labels import label
from analysis.midpoints.allocation import BY_COST, MeasuredNetwork, allocations, predicted_factor
from analysis.runs.run_settings import CURVE_LEVELS
from experiments.errors import UserError
from experiments.plan.refined_grid import Section, grid_of
from experiments.terminal.text_table import table

FACTORS = (0.5, 0.71, 1.0, 1.41, 2.0, 2.83, 4.0, 5.66, 8.0, 11.3, 16.0)
"""Levels of the grid, as multiples of the midpoint under global noise, which is one of them."""
NAMED = ("data.name", "model.name", "model.batch_norm", "noise.kind")


def allocated_grid(
    networks: Sequence[MeasuredNetwork],
    budgets: Sequence[int],
    seeds: int,
    document: Mapping[str, Any],
    collection: str,
    folder: Path,
) -> str:
    """The grid as text that SEML reads: for each network and budget the distinct allocations, at levels around μ.

    Its seeds are those that the runs of the collection do not have. ``document`` and ``folder``
    are as for :func:`experiments.plan.refined_grid.grid_of`.
    """
    settings = [_settings(network) for network in networks]
    common = {name: value for name, value in settings[0].items() if all(each[name] == value for each in settings)}
    sections: Section = {"fixed": common}
    for number, network in enumerate(networks, start=1):
        new = [seed for seed in range(len(network.seeds) + seeds) if seed not in network.seeds][:seeds]
        chosen = [list(one) for budget in budgets for one in allocations(network.mu, budget, network.costs).values()]
        distinct = [list(one) for one in dict.fromkeys(map(tuple, chosen))]
        mu = network.everywhere.fit.mu.value
        levels = [float(f"{mu * factor:.6g}") for factor in FACTORS]
        sections[f"network_{number}"] = {
            "fixed": {name: value for name, value in settings[number - 1].items() if name not in common},
            "grid": {
                "noise.std": {"type": "choice", "options": levels},
                "noise.executions": {"type": "choice", "options": [1, *distinct]},
                "seed": {"type": "choice", "options": new},
            },
        }
    means = ", ".join(map(str, budgets))
    heading = [
        f"Executions of noisy layers, allocated by the midpoints of {collection}, by walking-noise allocate:",
        f"schemes with {means} executions per noise point on average, on seeds that {collection} does not have.",
    ]
    return grid_of(sections, document, heading, folder)


def _settings(network: MeasuredNetwork) -> Section:
    """The settings that the network's runs share, without levels and executions."""
    if any(each.series.runs["noise.seed"].notna().any() for each in (*network.at_point.values(), network.everywhere)):
        raise UserError("the runs set noise.seed, so that new seeds would have the same noise; run them without it")
    settings = network.everywhere.settings
    left_out = {*CURVE_LEVELS, "noise.executions"}
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in settings.items()
        if name not in left_out
    }


def describe(networks: Sequence[MeasuredNetwork], budgets: Sequence[int]) -> Iterator[RenderableType]:
    """A table of the allocations: numbers of executions, and the predicted factor over equal ones."""
    head = ["network", "mean", "scheme", "executions at the points", "factor", "multiply-accumulates"]
    rows = []
    for network in networks:
        name, costs = label(network.everywhere.settings, NAMED), network.costs
        for budget in budgets:
            for scheme, numbers in allocations(network.mu, budget, costs).items():
                spent = sum(n * cost for n, cost in zip(numbers, costs, strict=True)) / max(sum(costs), 1)
                used = f"{spent:.3g} x" + (f", {budget - spent:.2g} unused" if scheme == BY_COST else "")
                factor = f"{predicted_factor(network.mu, numbers):.3f}" if scheme != BY_COST else "–"
                rows.append([name, str(budget), scheme, " ".join(map(str, numbers)), factor, used])
    yield table(head, rows, left=4)
    yield "factor: predicted ratio of the tolerated levels, over the same number of executions at every point"
