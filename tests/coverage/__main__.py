"""Tables of the errors of methods, and of the coverage and the width of the intervals of μ: ``make coverage``.

Each row of the second table is a cell of the simulation. ``coverage``: share of series whose true midpoint lies in
the recommended interval; ``plain``: the same for the plain t interval; ``width``: median width of the recommended
interval in decades; ``ratio``: median width divided by that of the plain t interval; ``bias``: mean error of the
estimate in decades; ``coarse``: share of series with the flag for coarse levels. Standard errors of the coverages
allow for the correlation of the series of a study.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterable, Iterator
from itertools import product

import numpy as np
import pandas as pd

from analysis.intervals import MOST_REPETITIONS, fit_prior, t_interval
from analysis.midpoints.flags import Flag
from analysis.midpoints.midpoint import LEAST_ON_SLOPE
from tests.coverage.curve_shapes import comparison
from tests.coverage.simulated_studies import SHAPES, SimulatedSeries, real_studies, studies

LEVELS = (9, 17, 41)
REPETITIONS = (3, 5, 10)
CORRELATIONS = {"independent": 0.0, "shared": 0.3}


def coverage_table(
    number: int, levels: Iterable[int] = LEVELS, repetitions: Iterable[int] = REPETITIONS
) -> pd.DataFrame:
    """Coverage and width in each cell, from ``number`` studies per cell."""
    return pd.DataFrame(_rows(number, list(levels), list(repetitions)))


def _rows(number: int, levels: list[int], repetitions: list[int]) -> Iterator[dict[str, object]]:
    for count, size, (name, correlation) in product(levels, repetitions, CORRELATIONS.items()):
        for shape, function in SHAPES.items():
            simulated = studies(function, count, size, correlation, number, seed=count + size)
            yield {"curve": shape, "levels": count, "repetitions": size, "seeds": name} | measure(
                simulated, shares_networks=correlation > 0
            )
    for count, size in product(levels, repetitions):
        cell = {"curve": "real", "levels": count, "repetitions": size, "seeds": "shared"}
        yield cell | measure(real_studies(count, size, number, seed=count + size), shares_networks=True)


def measure(simulated: Iterable[list[SimulatedSeries]], *, shares_networks: bool) -> dict[str, float]:
    """Coverage, widths, bias and flags over some studies."""
    rows, by_study = [], []
    for study in simulated:
        logs = [
            [math.log10(each.midpoint) for each in series.repetitions if not isinstance(each.midpoint, Flag)]
            for series in study
        ]
        prior = fit_prior(logs, shares_networks=shares_networks)
        covered = []
        for series, values in zip(study, logs, strict=True):
            few = len(values) <= MOST_REPETITIONS
            mean, low, high = t_interval(values, prior if few else None)
            _, plain_low, plain_high = t_interval(values)
            covered.append(low <= series.truth <= high)
            plain = plain_low <= series.truth <= plain_high
            rows.append((covered[-1], plain, high - low, plain_high - plain_low, mean - series.truth, _coarse(series)))
        by_study.append(np.mean(covered))
    table = np.array(rows, dtype=float)
    return {
        "coverage": table[:, 0].mean(),
        "error": float(np.std(by_study) / math.sqrt(len(by_study))),
        "plain": table[:, 1].mean(),
        "width": float(np.median(table[:, 2])),
        "ratio": float(np.median(table[:, 2]) / np.median(table[:, 3])),
        "bias": table[:, 4].mean(),
        "coarse": table[:, 5].mean(),
    }


def _coarse(series: SimulatedSeries) -> bool:
    first = series.repetitions[0]
    mean = np.mean([each.curve.accuracy for each in series.repetitions], axis=0)
    shares = type(first.curve)(first.curve.level, mean).shares(first.chance_accuracy)
    return int(((shares >= 0.1) & (shares <= 0.9)).sum()) < LEAST_ON_SLOPE


def main() -> None:
    parser = argparse.ArgumentParser(description="Coverage and width of the intervals of the midpoint noise level.")
    parser.add_argument("--studies", type=int, default=400, help="simulated studies per cell (default: 400)")
    studies = parser.parse_args().studies
    print("Methods of one repetition: bias / root mean square error in 0.001 decades\n")
    print(comparison(studies).to_string(index=False))
    table = coverage_table(studies)
    formats = {"coverage": "{:.1%}", "error": "{:.1%}", "plain": "{:.1%}", "coarse": "{:.0%}"}
    texts = table.assign(**{name: table[name].map(formats.get(name, "{:.3f}").format) for name in table.columns[4:]})
    print("\nIntervals of a series\n")
    print(texts.to_string(index=False))


if __name__ == "__main__":
    main()
