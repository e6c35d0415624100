"""Table of two-stage studies: coverage, width and number of runs after refining. ``python -m tests.coverage.refining``.

:mod:`analysis.midpoints.refine` plans the second stage for the wanted width, and the interval is that of the report,
from all seeds. ``first``: levels x seeds of the first stage, and the decades that its levels span; ``coverage``: share
of series whose true midpoint lies in the interval; ``width``: mean width in decades, and ``relative`` to the wanted
one; ``runs``: runs of a series in both stages; ``seeds``: mean number of seeds. The columns ``fixed`` are for a grid
with a quarter of a decade between its levels and five seeds: number of its runs, mean width, coverage. The wanted
width is that of the fixed grid, unless it is given.

A real study draws its networks with replacement, so that any number of seeds can be drawn.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from analysis.intervals import MOST_REPETITIONS, VariancePrior, fit_prior, t_interval
from analysis.midpoints.curves.repetition_curve import RepetitionCurve
from analysis.midpoints.flags import Flag
from analysis.midpoints.refine import seeds_needed, slope_levels, too_coarse
from tests.coverage.simulated_studies import (
    A_MAX,
    BETWEEN,
    CHANCE,
    SCATTER,
    SERIES,
    SHAPES,
    SPREAD,
    Array,
    Shape,
    real_curves,
    real_midpoints,
)  # fmt: skip

STEP = 4 / 64
"""Distance in decades between the levels of the real curves. All levels of the simulation are multiples of it."""

MOST = 80
"""Largest number of seeds of a simulated study."""


@dataclass(frozen=True)
class Design:
    """Levels, seeds and decades of the first stage, and the fixed grid that spans the same decades."""

    levels: int = 9
    seeds: int = 3
    decades: int = 4

    fixed_seeds = 5

    @property
    def fixed_levels(self) -> int:
        return 4 * self.decades + 1

    def __str__(self) -> str:
        return f"{self.levels} x {self.seeds}, {self.decades} decades"


DESIGNS = (Design(), Design(seeds=2), Design(levels=11, decades=10), Design(levels=11, seeds=2, decades=10))

Accuracies = Callable[[int, Array], Array]
"""Accuracy of a seed at log10 of some levels."""


@dataclass(frozen=True)
class Measured:
    """Simulated series: the accuracies that a run would measure, the true midpoint, and the chance accuracy."""

    accuracies: Accuracies
    truth: float
    chance: float

    def midpoint(self, seed: int, x: Array) -> float:
        """log10 of the midpoint of a seed from a curve at these levels; NaN without one."""
        level = RepetitionCurve(10**x, self.accuracies(seed, x)).level_at(0.5, self.chance)
        return math.nan if isinstance(level, Flag) else math.log10(level)


def shape_study(shape: Shape, correlation: float, draw: np.random.Generator, size: int = SERIES) -> list[Measured]:
    """A study with curves of a shape, as in :func:`tests.coverage.simulated_studies.studies`."""
    deviations = BETWEEN * np.exp(SPREAD * draw.normal(size=size))
    common, own = draw.normal(size=(MOST, 1)), draw.normal(size=(MOST, size))
    shifts = deviations * (math.sqrt(correlation) * common + math.sqrt(1 - correlation) * own)
    errors: dict[tuple[int, int, float], float] = {}

    def measure(series: int, seed: int, x: Array) -> Array:
        scatter = [errors.setdefault((series, seed, each), SCATTER * draw.normal()) for each in x]
        accuracies: Array = CHANCE + (A_MAX - CHANCE) * shape(x - shifts[seed, series]) + np.array(scatter)
        return accuracies.clip(0.0, 1.0)

    return [
        Measured(lambda seed, x, series=series: measure(series, seed, x), 0.0, CHANCE)  # type: ignore[misc]
        for series in range(size)
    ]


def real_study(draw: np.random.Generator) -> list[Measured]:
    """A study of real curves. Each level is the closest one that was measured."""
    x, accuracies, chance = real_curves()
    networks = draw.integers(accuracies.shape[1], size=MOST)

    def measure(point: Array, seed: int, levels: Array) -> Array:
        chosen: Array = point[networks[seed], np.abs(x - levels[:, None]).argmin(axis=1)]
        return chosen

    return [
        Measured(lambda seed, levels, point=point: measure(point, seed, levels), float(truth), chance)  # type: ignore[misc]
        for point, truth in zip(accuracies, real_midpoints().mean(axis=1), strict=True)
    ]


def grid(levels: int, decades: int, draw: np.random.Generator) -> Array:
    """log10 of levels over some decades around 0, with a random offset."""
    step = decades / (levels - 1)
    return snapped(np.linspace(-decades / 2, decades / 2, levels) + draw.uniform(-step / 2, step / 2))


def snapped(x: Array) -> Array:
    """The closest multiples of :data:`STEP`, each once."""
    return np.unique(np.round(x / STEP)) * STEP


def refined(study: list[Measured], design: Design, width: float, draw: np.random.Generator, *,
            shares: bool) -> Iterator[list[float]]:  # fmt: skip
    """Coverage, width, runs and seeds of each series after the second stage; its interval is that of the report."""
    grids = [grid(design.levels, design.decades, draw) for _ in study]
    if too_coarse([_on_slope(each, x, design) for each, x in zip(study, grids, strict=True)]):
        grids = [np.union1d(x, _levels(each, x, design)[0]) for each, x in zip(study, grids, strict=True)]
    first = [_midpoints(each, [x] * design.seeds) for each, x in zip(study, grids, strict=True)]
    seeds = min(seeds_needed(first, width, fit_prior(first, shares_networks=shares), shares=shares), MOST)
    added = max(seeds - design.seeds, 0)
    values, runs = [], []
    for each, x in zip(study, grids, strict=True):
        new, kept = _levels(each, x, design)
        old, few = np.union1d(x, new), np.union1d(kept, new)
        values.append(_midpoints(each, [old] * design.seeds + [few] * added))
        runs.append(len(old) * design.seeds + len(few) * added)
    prior = _prior(values, shares=shares)
    for each, sample, number in zip(study, values, runs, strict=True):
        _, low, high = t_interval(sample, prior)
        yield [low <= each.truth <= high, high - low, number, design.seeds + added]


def fixed(study: list[Measured], design: Design, draw: np.random.Generator, *, shares: bool) -> Iterator[list[float]]:
    """Coverage and width of each series with the fixed grid."""
    levels = [grid(design.fixed_levels, design.decades, draw) for _ in study]
    values = [_midpoints(each, [x] * design.fixed_seeds) for each, x in zip(study, levels, strict=True)]
    prior = _prior(values, shares=shares)
    for each, sample in zip(study, values, strict=True):
        _, low, high = t_interval(sample, prior)
        yield [low <= each.truth <= high, high - low]


def _mean(each: Measured, x: Array, design: Design) -> RepetitionCurve:
    return RepetitionCurve(10**x, np.mean([each.accuracies(seed, x) for seed in range(design.seeds)], axis=0))


def _levels(each: Measured, x: Array, design: Design) -> tuple[Array, Array]:
    """log10 of the new and of the kept levels."""
    new, kept = slope_levels(_mean(each, x, design), each.chance)
    return snapped(np.log10(new)), snapped(np.log10(kept))


def _on_slope(each: Measured, x: Array, design: Design) -> int:
    shares = _mean(each, x, design).shares(each.chance)
    return int(((shares >= 0.1) & (shares <= 0.9)).sum())


def _midpoints(each: Measured, levels: list[Array]) -> list[float]:
    found = [each.midpoint(seed, x) for seed, x in enumerate(levels)]
    return [value for value in found if not math.isnan(value)]


def _prior(values: list[list[float]], *, shares: bool) -> VariancePrior | None:
    few = max(map(len, values)) <= MOST_REPETITIONS
    return fit_prior(values, shares_networks=shares) if few else None


def cell(
    study: Callable[[np.random.Generator], list[Measured]], number: int, *, shares: bool, design: Design = DESIGNS[0],
    width: float | None = None, seed: int = 0,
) -> dict[str, float]:  # fmt: skip
    """Averages over some studies."""
    draw = np.random.default_rng(seed)
    studies = [study(draw) for _ in range(number)]
    grids = np.array([list(fixed(each, design, draw, shares=shares)) for each in studies], dtype=float)
    wanted = float(grids[:, :, 1].mean()) if width is None else width
    table = np.array([list(refined(each, design, wanted, draw, shares=shares)) for each in studies], dtype=float)
    covered, widths, runs, seeds = table.mean(axis=(0, 1))
    return {
        "wanted": wanted,
        "coverage": covered,
        "error": float(table[:, :, 0].mean(axis=1).std() / math.sqrt(number)),
        "width": widths,
        "relative": widths / wanted,
        "runs": runs,
        "seeds": seeds,
        "fixed": design.fixed_levels * design.fixed_seeds,
        "fixed width": grids[:, :, 1].mean(),
        "fixed coverage": grids[:, :, 0].mean(),
    }


def rows(number: int) -> Iterator[dict[str, object]]:
    """Averages in each cell, from ``number`` studies per cell; four times as many of a single series."""
    for design, width in [*((design, None) for design in DESIGNS), (DESIGNS[0], 0.05), (DESIGNS[0], 0.03)]:
        named: dict[str, object] = {"first": str(design)}
        for name, shape in SHAPES.items():
            for networks, correlation in (("independent", 0.0), ("shared", 0.3)):
                study = partial(shape_study, shape, correlation)
                row = cell(study, number, shares=correlation > 0, design=design, width=width)
                yield named | {"curve": name, "series": SERIES, "networks": networks} | row
            if design is DESIGNS[0]:
                row = cell(partial(shape_study, shape, 0.0, size=1), 4 * number, shares=False, width=width)
                yield named | {"curve": name, "series": 1, "networks": "independent"} | row
        row = cell(real_study, number, shares=True, design=design, width=width)
        yield named | {"curve": "real", "series": SERIES, "networks": "shared"} | row


def main() -> None:
    parser = argparse.ArgumentParser(description="Coverage, width and runs of two-stage studies.")
    parser.add_argument("--studies", type=int, default=400, help="simulated studies per cell (default: 400)")
    print(pd.DataFrame(rows(parser.parse_args().studies)).to_string(index=False, float_format="{:.3f}".format))


if __name__ == "__main__":
    main()
