"""Coverage of the contrasts of midpoints: ``python -m tests.coverage.contrasts [simulations per cell [seeds …]]``.

Each cell draws log10 midpoints with equal true values: normal, with the same correlation between all columns. Their
scatter is equal, or three times as large in one column or in every other column, or rises from column to column by a
factor of three in all. The last lines give the lowest coverage of the cells with the same numbers.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from analysis.midpoints.contrasts import AdditiveModel, Contrasts, paired_ratios

REPETITIONS, COLUMNS, CORRELATIONS = (3, 5, 10), (5, 11, 15), (0.0, 0.3, 0.9)
SCATTER: dict[str, Callable[[int], Any]] = {
    "equal": lambda columns: np.ones(columns),
    "one": lambda columns: np.where(np.arange(columns) == 0, 3.0, 1.0),
    "alternating": lambda columns: np.where(np.arange(columns) % 2, 3.0, 1.0),
    "rising": lambda columns: np.geomspace(1.0, 3.0, columns),
}


def coverage(simulations: int, repetitions: int, columns: int, correlation: float, scatter: str) -> dict[str, float]:
    """Coverage in one cell.

    ``single``: mean over all pairs of columns; ``worst_pair``: of the pair with the lowest coverage; ``simultaneous``:
    of all pairs at once; ``weakest``: of the columns that may be the weakest, mean over the truly weakest column;
    ``worst_column``: of the truly weakest column with the lowest coverage; ``paired`` and ``paired_simultaneous``: of
    the ratios of two walks by point; ``half_width``: mean half-width of the single intervals.
    """
    random = np.random.default_rng([repetitions, columns, int(10 * correlation), list(SCATTER).index(scatter)])
    single, weakest, paired, simultaneous, paired_simultaneous, widths = [], [], [], [], [], []
    for _ in range(simulations):
        shared = random.normal(size=(repetitions, 1))
        own = random.normal(size=(repetitions, columns))
        values = pd.DataFrame(
            (np.sqrt(correlation) * shared + np.sqrt(1 - correlation) * own) * SCATTER[scatter](columns)
        )
        model, ratios = AdditiveModel(values), paired_ratios(values)
        single.append(_contains_zero(model.pairs))
        simultaneous.append(_contains_zero(model.pairs, len(model.pairs.estimate)).all())
        weakest.append(values.columns.isin(model.may_be_lowest()))
        paired.append(_contains_zero(ratios))
        paired_simultaneous.append(_contains_zero(ratios, columns).all())
        widths.append(model.pairs.half_width().mean())
    by_pair, by_column = np.mean(single, axis=0), np.mean(weakest, axis=0)
    return {
        "single": float(by_pair.mean()), "worst_pair": float(by_pair.min()),
        "simultaneous": float(np.mean(simultaneous)), "weakest": float(by_column.mean()),
        "worst_column": float(by_column.min()), "paired": float(np.mean(paired)),
        "paired_simultaneous": float(np.mean(paired_simultaneous)), "half_width": float(np.mean(widths)),
    }  # fmt: skip


def _contains_zero(contrasts: Contrasts, comparisons: int = 1) -> Any:
    """Whether the intervals contain the true logarithm of the ratio, 0."""
    return (contrasts.estimate.abs() <= contrasts.half_width(comparisons)).to_numpy()


def main(simulations: int = 1000, *repetitions: int) -> None:
    """Print the coverage of each cell, and the lowest one of the cells with the same numbers."""
    names, rows = ["repetitions", "columns", "correlation", "scatter"], []
    for cell in product(repetitions or REPETITIONS, COLUMNS, CORRELATIONS, SCATTER):
        rows.append(dict(zip(names, cell, strict=True)) | coverage(simulations, *cell))
        print(*(f"{value:.3f}" if isinstance(value, float) else value for value in rows[-1].values()), flush=True)
    table = pd.DataFrame(rows).drop(columns=["correlation", "scatter", "half_width"])
    print(table.groupby(["repetitions", "columns"]).min().round(3).to_string())


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
