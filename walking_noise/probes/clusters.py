"""Clusters of the values of a layer: zero, and a peak on either side of zero (Walking Noise v1, figure 4)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[np.float32]

DEPTH = 0.2
"""Two clusters are separate if the density between them is lower than their lower peak by at least this fraction."""
SHARE = 0.05
"""Smallest share of the values that is a cluster."""
CHANCE = 3.0
"""Standard errors by which the density in a valley must be lower; the standard error of a count is its square root."""
CELLS = 400
"""Number of cells of the density that is searched for a valley."""


@dataclass(frozen=True)
class Clusters:
    """A partition of values into those around zero and those around a peak on either side.

    ``depth`` is the depth of the valley in the density of log10|value| between the peak of zero and the other peak, as
    a fraction of the lower peak, 0 to 1; 0 if the valley is not significant, lacks a cluster on one side, or its peaks
    are within a factor of 2.
    """

    threshold: float  # values with at most this magnitude belong to zero
    negative: float  # mean of the values below ``-threshold``; 0 if there are none
    positive: float  # mean of the values above ``threshold``; 0 if there are none
    shares: tuple[float, float, float]  # of the values: below ``-threshold``, around zero, above ``threshold``
    peak: float  # mode of log10|value| beyond the threshold, as a magnitude
    depth: float
    count: int  # number of separate clusters, 1 to 3

    def quantise(self, values: Tensor) -> Tensor:
        """The values, each replaced by zero, :attr:`negative` or :attr:`positive`."""
        quantised = torch.zeros_like(values)
        quantised[values > self.threshold] = self.positive
        quantised[values < -self.threshold] = self.negative
        return quantised


def find_clusters(values: Array) -> Clusters:
    """Partition finite values ``(n,)``, n > 0, by a threshold on their magnitude.

    The threshold is the bottom of the deepest valley in the density of log10|value|, a Gaussian kernel estimate with
    Silverman's width. The valley must be deep (:data:`DEPTH`) and statistically significant (:data:`CHANCE`), it must
    have a cluster (:data:`SHARE`) on either side, and the peak at the smaller magnitude must be nearer to zero than to
    the other peak.

    Without a valley that meets these conditions, the threshold is half the mean of all magnitudes above it, so that
    each value belongs to the nearer of zero and that mean. The values are then a single cluster, unless there is a gap:
    of the nonzero values, less than the share :data:`SHARE` lies within the threshold.

    With a valley or a gap, each of zero, negative and positive is a cluster if its share is at least :data:`SHARE`. The
    logarithm makes the search independent of the scale, and maps a bell curve around zero to a single peak.
    """
    magnitudes = np.abs(values[values != 0]).astype(np.float64)
    if not len(magnitudes):
        return Clusters(0.0, 0.0, 0.0, (0.0, 1.0, 0.0), 0.0, 0.0, 1)
    logs, density = log_density(magnitudes)
    valley, depth = _deepest_valley(logs, density)
    threshold = 10**valley if depth >= DEPTH else _half_the_mean_beyond(magnitudes)
    below, above = values[values < -threshold], values[values > threshold]
    shares = (len(below) / len(values), 1 - (len(below) + len(above)) / len(values), len(above) / len(values))
    beyond = logs >= np.log10(threshold)
    gap = bool(np.mean(magnitudes <= threshold) < SHARE)
    return Clusters(
        float(threshold),
        _mean(below),
        _mean(above),
        shares,
        float(10 ** logs[beyond][density[beyond].argmax()]),
        depth,
        sum(share >= SHARE for share in shares) if gap or depth >= DEPTH else 1,
    )


def log_density(magnitudes: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The density of log10 of ``magnitudes`` (n,), all positive: the cell centres, and the effective number of values.

    The effective number is the number of values under the kernel, weighted as in the variance of the estimate. It is
    proportional to the density.
    """
    logs = np.log10(magnitudes)
    low, high = np.quantile(logs, 0.0005), logs.max() + 1e-6
    counts, edges = np.histogram(logs, CELLS, (low, high))
    cell = edges[1] - edges[0]
    spread = min(logs.std(), float(np.subtract(*np.quantile(logs, [0.75, 0.25]))) / 1.34)
    width = max(0.9 * spread * len(logs) ** -0.2, cell)
    reach = int(4 * width / cell) + 1
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) * cell / width) ** 2)
    effective = np.convolve(counts, kernel, "full")[reach:-reach] * kernel.sum() / (kernel**2).sum()
    return (edges[:-1] + edges[1:]) / 2, effective


def _deepest_valley(logs: NDArray[np.float64], density: NDArray[np.float64]) -> tuple[float, float]:
    """The position of the deepest valley, and its depth as a fraction of the lower of the peaks on either side."""
    left, right = _running_peak(density), len(density) - 1 - _running_peak(density[::-1])[::-1]
    peak = np.maximum(np.minimum(density[left], density[right]), 1e-300)
    depth = 1 - density / peak
    share = np.cumsum(density) / density.sum()
    no_cluster = (share < SHARE) | (share > 1 - SHARE)
    by_chance = peak - density < CHANCE * np.sqrt(peak + density)
    not_zero = logs[right] - logs[left] < np.log10(2)
    depth[no_cluster | by_chance | not_zero] = 0
    deepest = int(depth.argmax())
    return float(logs[deepest]), float(depth[deepest])


def _running_peak(density: NDArray[np.float64]) -> NDArray[np.int64]:
    """For each cell, the index of the cell with the highest density up to it."""
    cells = np.arange(len(density))
    return np.maximum.accumulate(np.where(density == np.maximum.accumulate(density), cells, 0))


def _half_the_mean_beyond(magnitudes: NDArray[np.float64]) -> float:
    """The lowest threshold that is half the mean of the ``magnitudes`` above it."""
    ordered = np.sort(magnitudes)
    sums = np.cumsum(ordered[::-1])[::-1]
    threshold = 0.0
    while (first := int(np.searchsorted(ordered, threshold, side="right"))) < len(ordered):
        half = float(sums[first]) / (len(ordered) - first) / 2
        if half <= threshold:
            break
        threshold = half
    return threshold


def _mean(values: Array) -> float:
    """The mean, or 0 without values."""
    return float(values.mean(dtype=np.float64)) if len(values) else 0.0
