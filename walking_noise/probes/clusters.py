"""The clusters of a layer's values: zero, and a peak on either side of it (Walking Noise v1, figure 4)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[np.float32]

DEPTH = 0.2
"""Two clusters are told apart if the density between them is at least this much below the lower of their peaks."""
SHARE = 0.05
"""A smaller share of the values is no cluster."""
CHANCE = 3.0
"""Standard errors by which the density must dip: that of a count is its root."""
CELLS = 400
"""Resolution of the density in which a valley is looked for."""


@dataclass(frozen=True)
class Clusters:
    """A split of values into those around zero and those around a peak on either side.

    Attributes
    ----------
    threshold
        Values up to this far from zero count as zero.
    negative, positive
        Mean of the values beyond it on either side; 0 where there are none.
    shares
        Shares of the values: below ``-threshold``, around zero, above ``threshold``.
    peak
        Mode of log10|value| beyond the threshold, as a magnitude.
    depth
        By which part of the lower peak the density of log10|value| dips between zero's peak and the other, 0 to 1; 0
        where it dips no more than by chance.
    count
        Clusters that are told apart, 1 to 3.
    """

    threshold: float
    negative: float
    positive: float
    shares: tuple[float, float, float]
    peak: float
    depth: float
    count: int

    def quantise(self, values: Tensor) -> Tensor:
        """The same values, each replaced by zero or by its peak's mean."""
        quantised = torch.zeros_like(values)
        quantised[values > self.threshold] = self.positive
        quantised[values < -self.threshold] = self.negative
        return quantised


def find_clusters(values: Array) -> Clusters:
    """Split finite values ``(n,)``, n > 0, at a threshold on their magnitude.

    The threshold is the bottom of the deepest valley in the density of log10|value|, a Gaussian kernel estimate with
    Silverman's width, if the valley is deep (:data:`DEPTH`), no chance (:data:`CHANCE`), has a cluster (:data:`SHARE`)
    on either side, and the lower one's peak is nearer to zero than to the other's. If there is no such valley it is
    half the mean of all magnitudes beyond it, so that each value goes to the nearer of zero and that mean. The values
    then are one cluster, unless next to none (:data:`SHARE`) of those that are not exactly zero lie within the
    threshold: there is a gap. With a valley or a gap, the clusters are those of zero, negative and positive that have a
    share. The logarithm makes the search independent of the scale, and one peak of a bell around zero.
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
    """The density of log10 of ``magnitudes`` (n,), all positive: the places, and how many values bear it there.

    That number, of the values under the kernel weighted as in the estimate's variance, is proportional to the density.
    """
    logs = np.log10(magnitudes)
    low, high = np.quantile(logs, 0.0005), logs.max() + 1e-6
    counts, edges = np.histogram(logs, CELLS, (low, high))
    cell = edges[1] - edges[0]
    spread = min(logs.std(), float(np.subtract(*np.quantile(logs, [0.75, 0.25]))) / 1.34)
    width = max(0.9 * spread * len(logs) ** -0.2, cell)
    reach = int(4 * width / cell) + 1
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) * cell / width) ** 2)
    bearing = np.convolve(counts, kernel, "full")[reach:-reach] * kernel.sum() / (kernel**2).sum()
    return (edges[:-1] + edges[1:]) / 2, bearing


def _deepest_valley(logs: NDArray[np.float64], density: NDArray[np.float64]) -> tuple[float, float]:
    """Where the density dips most below the lower of the peaks on either side, and by which part of that peak."""
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
    """For each cell which one up to it has the highest density."""
    places = np.arange(len(density))
    return np.maximum.accumulate(np.where(density == np.maximum.accumulate(density), places, 0))


def _half_the_mean_beyond(magnitudes: NDArray[np.float64]) -> float:
    """The lowest threshold that is half the mean of the ``magnitudes`` beyond it."""
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
    return float(values.mean(dtype=np.float64)) if len(values) else 0.0
