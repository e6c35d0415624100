"""Information that answers carry about the classes: mutual information from a confusion matrix, in bits.

I(Y; Ŷ) = H(Y) + H(Ŷ) - H(Y, Ŷ). The plug-in estimates of entropies are too small, most of all where cells have few
samples, so that the information would be too large. Each entropy is therefore estimated as log n - Σ n_i G(n_i) / n,
with G(k) = ψ(k) + (-1)^k (ψ((k + 1)/2) - ψ(k/2)) / 2 (Grassberger 2003, equations 30 and 35). Intervals come from the
bootstrap over the samples (Efron 1979): quantiles of the deviations of resampled estimates from their mean, since
resampling has a bias of its own. Cells without a sample get the share of those with a single one (Good 1953), since
intervals would otherwise be too narrow.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma

from analysis.intervals import CONFIDENCE, Array, Estimate

RESAMPLES = 500
Matrix = Sequence[Sequence[int]]


def information(confusion: NDArray[np.int64]) -> Array:
    """I(Y; Ŷ) in bits, at least 0, of confusion matrices ``(…, classes, answers)``."""
    flat = confusion.reshape(*confusion.shape[:-2], -1)
    classes, answers = confusion.sum(-1), confusion.sum(-2)
    found: Array = _entropy(classes) + _entropy(answers) - _entropy(flat)
    constant = ((classes > 0).sum(-1) == 1) | ((answers > 0).sum(-1) == 1)
    return np.where(constant, 0.0, np.maximum(found, 0.0))


def _entropy(counts: NDArray[np.int64]) -> Array:
    """The entropy in bits of distributions with these counts ``(…, n)``."""
    k = np.maximum(counts, 1).astype(float)
    sign = np.where(counts % 2 == 0, 0.5, -0.5)
    terms = counts * (digamma(k) + sign * (digamma((k + 1) / 2) - digamma(k / 2)))
    total = counts.sum(-1)
    entropy: Array = (np.log(total) - terms.sum(-1) / total) / math.log(2)
    return entropy


def mean_information(matrices: Sequence[Matrix], seed: int = 0) -> Estimate:
    """The mean information of several networks, with its interval over the validation samples of these networks."""
    random = np.random.default_rng(seed)
    found, resampled = [], []
    for matrix in matrices:
        counts = np.asarray(matrix, dtype=np.int64)
        found.append(float(information(counts)))
        drawn = random.multinomial(counts.sum(), _shares(counts).ravel(), RESAMPLES)
        resampled.append(information(drawn.reshape(RESAMPLES, *counts.shape)))
    value, means = float(np.mean(found)), np.mean(resampled, 0)
    deviations = means - means.mean()
    low, high = np.quantile(deviations, [(1 + CONFIDENCE) / 2, (1 - CONFIDENCE) / 2])
    return Estimate(value, max(0.0, min(value, value - float(low))), max(value, value - float(high)))


def _shares(counts: NDArray[np.int64]) -> Array:
    """The probabilities of the cells; those without a sample share the total of the cells with a single one."""
    shares: Array = counts / counts.sum()
    unseen, single = counts == 0, int((counts == 1).sum())
    if unseen.any() and single:
        missing = min(single / counts.sum(), 0.5)
        shares = np.where(unseen, missing / unseen.sum(), shares * (1 - missing))
    return shares
