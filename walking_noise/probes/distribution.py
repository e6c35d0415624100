"""Distribution of values: histograms on a linear and on a logarithmic axis."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BINS = 60
OUTSIDE = 0.001
"""Share of the values left out at either end of a linear histogram and at the lower end of a logarithmic one."""


@dataclass(frozen=True)
class Histogram:
    """Counts of values in bins of equal width from ``low`` to ``high``."""

    low: float
    high: float
    counts: list[int]


@dataclass(frozen=True)
class Distribution:
    """The distribution of ``size`` values; a density is counts / (size · width of a bin).

    ``negative`` and ``positive`` are histograms of log10|value| in the same bins; None if there are no such values.
    """

    size: int
    zeros: float  # share of exact zeros
    nonfinite: float  # share of values that are not finite
    linear: Histogram  # of the values, without the share :data:`OUTSIDE` at either end
    negative: Histogram | None
    positive: Histogram | None


def distribution(values: NDArray[np.float32]) -> Distribution:
    """The distribution of ``values`` (n,), of which at least one is finite."""
    finite = values[np.isfinite(values)].astype(np.float64)
    negative, positive = (np.log10(side) for side in (-finite[finite < 0], finite[finite > 0]))
    logs = np.concatenate([negative, positive])
    lowest = float(np.quantile(logs, OUTSIDE, method="inverted_cdf")) if len(logs) else 0.0
    ends = _ends(lowest, float(logs.max(initial=lowest)))
    central = np.quantile(finite, [OUTSIDE, 1 - OUTSIDE], method="inverted_cdf").tolist()
    return Distribution(
        len(values),
        float(np.mean(values == 0)),
        1 - len(finite) / len(values),
        _histogram(finite, _ends(*central)),
        _histogram(negative, ends) if len(negative) else None,
        _histogram(positive, ends) if len(positive) else None,
    )


def _ends(low: float, high: float) -> tuple[float, float]:
    """The range of the bins, widened if the values are almost equal."""
    margin = 1e-3 * abs(high) + 1e-30 if high - low <= 1e-6 * abs(high) else 0.0
    return low - margin, high + margin


def _histogram(values: NDArray[np.float64], ends: tuple[float, float]) -> Histogram:
    counts, _ = np.histogram(values, BINS, ends)
    return Histogram(*ends, counts.tolist())
