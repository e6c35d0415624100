"""Error rates of the flag for a plateau: simulated studies, drawn from curves that fall in one step or in two.

A study has three repetitions. Each shifts the curve along log10(level) by a normal number with a standard deviation of
0.03 decades. Each accuracy has a normal error of 0.01 and is limited to [0, 1]. The levels span four decades around the
fall, and their phase is uniform. The real curves are those of three networks at one noise point
(:mod:`tests.coverage.simulated_studies`). ``python -m tests.coverage.plateaus`` prints the share of flagged studies.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.special import expit

from analysis.midpoints.curves.stacked_logistics import compare_shapes
from analysis.midpoints.curves.weighted_fit import Array, Logistic
from tests.coverage.simulated_studies import real_curves

STUDIES = 400
LEVELS = (9, 13, 17, 41)
A_MAX, CHANCE = 0.97, 0.1

_UNUSED = Logistic(0.0, 1.0, CHANCE, A_MAX, (0.0,) * 4)


class Case(NamedTuple):
    """Curve that falls from 1 to 0 over x = log10(level), and how its studies differ from the usual ones."""

    curve: Callable[[Array], Array]
    repetitions: int = 3
    scatter: float = 0.01
    shift: float = 0.03


def two(distance: float, sigma: float, share: float = 0.5) -> Callable[[Array], Array]:
    """Two logistic steps; the upper one has this share of the fall."""
    return lambda x: share * expit((-distance / 2 - x) / sigma) + (1 - share) * expit((distance / 2 - x) / sigma)


def logistic(sigma: float, remainder: float = 0.0) -> Callable[[Array], Array]:
    return lambda x: remainder + (1 - remainder) * expit(-x / sigma)


def gompertz(width: float) -> Callable[[Array], Array]:
    return lambda x: np.exp(-np.log(2) * np.exp(x / width))


def mirrored(width: float) -> Callable[[Array], Array]:
    return lambda x: 1 - np.exp(-np.log(2) * np.exp(-x / width))


def line(width: float) -> Callable[[Array], Array]:
    """A straight line with two corners: at wide spacing, its accuracies are those of two steps."""
    return lambda x: np.clip(0.5 - x / width, 0, 1)


TWO_STEPS = {
    "steps 1 decade apart, sigma 0.1": Case(two(1, 0.1)),
    "  upper step 30 % of the fall": Case(two(1, 0.1, 0.3)),
    "  upper step 80 % of the fall": Case(two(1, 0.1, 0.8)),
    "  shifts of 0.1 decades": Case(two(1, 0.1), shift=0.1),
    "  scatter 0.03": Case(two(1, 0.1), scatter=0.03),
    "  two repetitions": Case(two(1, 0.1), repetitions=2),
    "  one repetition": Case(two(1, 0.1), repetitions=1),
    "steps 0.7 decades apart, sigma 0.08": Case(two(0.7, 0.08)),
    "steps 2 decades apart, sigma 0.2": Case(two(2, 0.2)),
}

ONE_FALL = {
    **{f"logistic, sigma {sigma}": Case(logistic(sigma)) for sigma in (0.05, 0.1, 0.2, 0.4)},
    "logistic, sigma 0.15, remainder 40 %": Case(logistic(0.15, 0.4)),
    **{f"Gompertz, width {width}": Case(gompertz(width)) for width in (0.1, 0.2, 0.4, 0.7)},
    **{f"mirrored Gompertz, width {width}": Case(mirrored(width)) for width in (0.1, 0.2, 0.4, 0.7)},
    "logistic, sigma 0.1, one repetition": Case(logistic(0.1), repetitions=1),
    "logistic, sigma 0.1, shifts of 0.3 decades": Case(logistic(0.1), shift=0.3),
    "logistic, sigma 0.1, scatter 0.03": Case(logistic(0.1), scatter=0.03),
    "straight line, 1 decade": Case(line(1)),
    "straight line, 2 decades": Case(line(2)),
}


def flagged(case: Case, levels: int, studies: int, generator: np.random.Generator) -> float:
    """Share of the simulated studies that have a plateau."""
    return float(np.mean([_has_plateau(case, levels, generator) for _ in range(studies)]))


def _has_plateau(case: Case, levels: int, generator: np.random.Generator) -> bool:
    x = np.linspace(-2, 2, levels) + generator.uniform(-0.5, 0.5) * 4 / (levels - 1)
    shifts = generator.normal(0, case.shift, (case.repetitions, 1))
    error = generator.normal(0, case.scatter, (case.repetitions, levels))
    accuracies = CHANCE + (A_MAX - CHANCE) * case.curve(x - shifts) + error
    return compare_shapes(_UNUSED, x, np.clip(accuracies, 0, 1)).has_plateau


def real_studies_flagged(levels: int, studies: int, generator: np.random.Generator) -> float:
    """Share of the studies of real single falls that have a plateau; the levels have the usual spacing."""
    x, accuracies, _ = real_curves()
    every = round(4 / (levels - 1) / float(np.diff(x).mean()))
    found = []
    for _ in range(studies):
        point, first = generator.integers(len(accuracies)), generator.integers(every)
        seeds = generator.choice(accuracies.shape[1], 3, replace=False)
        found.append(compare_shapes(_UNUSED, x[first::every], accuracies[point, seeds, first::every]).has_plateau)
    return float(np.mean(found))


def main() -> None:
    """Print the share of flagged studies in per cent, a row per case and a column per number of levels."""
    generator = np.random.default_rng(0)
    print(f"flagged, in % of {STUDIES} studies; levels:".ljust(46), *(f"{levels:5d}" for levels in LEVELS))
    for title, cases in (("two steps", TWO_STEPS), ("one fall", ONE_FALL)):
        print(title)
        for name, case in cases.items():
            rates = [f"{100 * flagged(case, levels, STUDIES, generator):5.1f}" for levels in LEVELS]
            print(f"  {name}".ljust(46), *rates, flush=True)
    rates = [f"{100 * real_studies_flagged(levels, STUDIES, generator):5.1f}" for levels in LEVELS]
    print("  real curves".ljust(46), *rates)


if __name__ == "__main__":
    main()
