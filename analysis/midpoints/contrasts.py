"""Contrasts of midpoint noise levels: ratios with intervals, and the columns that may be the weakest or strongest.

The midpoints of the repetitions (seeds) ``i`` in the columns (noise points or series) ``j`` follow

    log10 mu_ij = column_j + seed_i + rest_ij

A contrast is a weighted sum of columns whose weights sum to 0, for example the difference of two columns, the logarithm
of a ratio of midpoints. The seed cancels in it, so that all columns contribute to one residual variance. The scatter of
real points differs by factors, however, and an interval from the residual variance alone is too narrow for points with
a large scatter. The interval of a contrast uses its *unit variance* ``s**2``: the variance of the contrast over the
repetitions, divided by the sum of the squared weights, with ``d`` degrees of freedom.

- The unit variances of all pairs of columns have a prior with the scale ``s0**2`` and ``d0`` degrees of freedom (Smyth
  2004, section 6.2). The posterior variance is ``(d0 s0**2 + d s**2) / (d0 + d)``.
- The degrees of freedom ``f`` are ``d0 + d``, but at most those of the mean of all unit variances: ``d`` times the
  number of independent columns if all variances are equal, otherwise fewer (Box 1954; Huynh and Feldt 1976).
- The half-width is the larger one of ``t(f)`` posterior and ``t(min(f, 2 d))`` own standard errors. The own variance
  has few degrees of freedom and therefore a larger critical value.
- Simultaneous intervals multiply the half-width by ``t'(f) / t(f)``, where ``t'`` is the critical value after Sidak
  (1967) for the number of comparisons. It holds for any correlation and for unequal variances. The values of Tukey and
  Dunnett are smaller, but with unequal variances their intervals contain the true ratios too rarely.

A column may be the weakest if no other column is significantly lower (multiple comparisons with the best, Gupta 1965
and Hsu 1984; one-sided, after Sidak). ``python -m tests.coverage.contrasts`` measures the coverage.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from analysis.errors import AnalysisError
from analysis.intervals import CONFIDENCE, Array, prior_of_variances

LEAST_COLUMNS = 5
"""Smallest number of columns whose variances are pooled. With fewer columns each contrast has its own variance."""


@dataclass(frozen=True)
class Pooling:
    """Variance that a family of contrasts shares.

    Attributes
    ----------
    variance, prior_freedom
        Scale and degrees of freedom of the prior; 0 degrees of freedom if nothing is pooled.
    most_freedom
        Largest number of degrees of freedom of an interval.
    multiple
        Degrees of freedom with which the own variance is used, in units of those that it has.
    """

    variance: float
    prior_freedom: float
    most_freedom: float
    multiple: float

    def scale(self, own: Array, freedom: Array) -> tuple[Array, Array]:
        """Unit standard deviations of contrasts and their degrees of freedom, from own variances (NaN without one)."""
        if self.prior_freedom == 0:
            return np.sqrt(own), freedom
        own, total = np.nan_to_num(own), self.prior_freedom + freedom
        posterior = self.variance + freedom / total * (own - self.variance)
        total = np.minimum(total, self.most_freedom)
        critical = [stdtrit(f, (1 + CONFIDENCE) / 2) for f in (np.minimum(total, self.multiple * freedom), total)]
        inflation = np.where(freedom > 0, critical[0] / critical[1], 0.0)
        return np.maximum(np.sqrt(posterior), inflation * np.sqrt(own)), total


@dataclass(frozen=True, eq=False)
class Contrasts:
    """Contrasts on the log10 scale.

    Attributes
    ----------
    estimate : (contrasts,)
        Logarithms of the ratios.
    error : (contrasts,)
        Their standard errors.
    freedom : (contrasts,)
        Degrees of freedom of the errors.
    """

    estimate: pd.Series[float]
    error: pd.Series[float]
    freedom: pd.Series[float]

    def half_width(self, comparisons: int = 1) -> pd.Series[float]:
        """Half-widths of intervals that hold at 95 % each, or all at once if ``comparisons`` is their number."""
        confidence = CONFIDENCE ** (1 / comparisons)
        half: pd.Series[float] = self.error * stdtrit(self.freedom.to_numpy(), (1 + confidence) / 2)
        return half

    def ratios(self, comparisons: int = 1) -> pd.DataFrame:
        """Columns ``ratio``, ``low`` and ``high`` of each contrast, with intervals as in :meth:`half_width`."""
        half = self.half_width(comparisons)
        ends = {"ratio": self.estimate, "low": self.estimate - half, "high": self.estimate + half}
        with np.errstate(over="ignore"):
            return 10 ** pd.DataFrame(ends)


class AdditiveModel:
    """Least-squares fit of column and seed effects to log10 midpoints.

    Parameters
    ----------
    values : (repetitions, columns)
        log10 midpoints, NaN where one is missing. Repetitions and columns without data are dropped.

    Attributes
    ----------
    effects : (columns,)
        log10 midpoint of each column in the average repetition.
    freedom, residual_sd
        Degrees of freedom and standard deviation of the rest, in decades.

    Raises
    ------
    AnalysisError
        Fewer than two columns or repetitions are left, or columns have no repetitions in common.
    """

    def __init__(self, values: pd.DataFrame) -> None:
        self.values = values = values.dropna(how="all").dropna(how="all", axis=1)
        repetitions, columns = values.shape
        if repetitions < 2 or columns < 2:
            raise AnalysisError(
                f"contrasts of {columns} columns with {repetitions} repetitions; give two or more of both"
            )
        seed, column = np.nonzero(values.notna().to_numpy())
        design = np.concatenate([np.eye(columns)[column], np.eye(repetitions)[seed]], axis=1)
        inverse = np.linalg.pinv(design.T @ design)
        if np.linalg.matrix_rank(design) < repetitions + columns - 1:
            raise AnalysisError("some columns share no repetition with the others, not even indirectly; drop them")
        y = values.to_numpy()[seed, column]
        fitted = inverse @ design.T @ y
        rest = y - design @ fitted
        self.effects = pd.Series(fitted[:columns] + fitted[columns:].mean(), values.columns)
        self.freedom = len(y) - repetitions - columns + 1
        self.residual_sd = float(np.sqrt(rest @ rest / self.freedom)) if self.freedom else np.nan
        self._covariance = inverse[:columns, :columns]

    @cached_property
    def _pairs(self) -> pd.DataFrame:
        first, second = np.triu_indices(self.values.shape[1], 1)
        columns, unit = self.values.columns, np.eye(self.values.shape[1])
        pairs = pd.MultiIndex.from_arrays([columns[first], columns[second]])
        return pd.DataFrame(unit[first] - unit[second], pairs, columns)

    @cached_property
    def _pooling(self) -> Pooling:
        return _pool(_differences(self.values, self._pairs), self.values.shape[1], seed_cancels=True)

    def contrasts(self, weights: pd.DataFrame) -> Contrasts:
        """Contrasts with the weights ``(contrasts, columns)``; the weights of each sum to 0."""
        differences = _differences(self.values, weights)
        scale, freedom = self._pooling.scale(*_variances(differences))
        c = weights.to_numpy()
        error = scale * np.sqrt(np.einsum("ij,jk,ik->i", c, self._covariance, c))
        return Contrasts(weights @ self.effects, *(pd.Series(each, weights.index) for each in (error, freedom)))

    @cached_property
    def pairs(self) -> Contrasts:
        """Differences of all pairs of columns, indexed by the two columns."""
        return self.contrasts(self._pairs)

    def ratio(self, first: Any, second: Any) -> tuple[float, float, float]:
        """Ratio of the midpoints of two columns, and the ends of its 95 % interval."""
        weights = pd.DataFrame(0.0, [0], self.values.columns)
        weights.loc[0, [first, second]] = 1.0, -1.0
        ratio, low, high = self.contrasts(weights).ratios().iloc[0]
        return ratio, low, high

    def may_be_lowest(self) -> list[Any]:
        """Columns that contain the one with the lowest true midpoint with a probability of 95 %."""
        return self._not_worse(1)

    def may_be_highest(self) -> list[Any]:
        """Columns that contain the one with the highest true midpoint with a probability of 95 %."""
        return self._not_worse(-1)

    def _not_worse(self, sign: int) -> list[Any]:
        columns = self.values.columns
        confidence = CONFIDENCE ** (1 / (len(columns) - 1))
        half = stdtrit(self.pairs.freedom.to_numpy(), confidence) * self.pairs.error
        differs, first_is_worse = self.pairs.estimate.abs() > half, sign * self.pairs.estimate > 0
        first, second = (self.pairs.estimate.index.get_level_values(level) for level in (0, 1))
        worse = {*first[differs & first_is_worse], *second[differs & ~first_is_worse]}
        return [column for column in columns if column not in worse]


def paired_ratios(differences: pd.DataFrame) -> Contrasts:
    """Mean of each column of differences of log10 midpoints, as of two walks by point: (repetitions, columns).

    The seed does not cancel between the columns, and the variance of the means includes it. Columns with fewer than two
    repetitions are dropped.
    """
    differences = differences.loc[:, differences.notna().sum() > 1]
    pooling = _pool(differences.to_numpy(), differences.shape[1], seed_cancels=False)
    variance, freedom = _variances(differences.to_numpy())
    scale, total = pooling.scale(variance, freedom)
    error = scale / np.sqrt(freedom + 1)
    return Contrasts(differences.mean(), *(pd.Series(each, differences.columns) for each in (error, total)))


def mean_ratio(differences: pd.DataFrame) -> Contrasts:
    """Mean over all columns of differences of log10 midpoints, in the repetitions without a gap; a t interval."""
    means = differences.dropna().mean(axis=1)
    error = float(means.std() / np.sqrt(max(len(means), 1)))
    return Contrasts(*(pd.Series({"mean": each}, dtype=float) for each in (means.mean(), error, len(means) - 1)))


def _differences(values: pd.DataFrame, weights: pd.DataFrame) -> Array:
    """Contrasts of each repetition divided by the length of their weights, NaN with a gap: (repetitions, contrasts)."""
    c = weights.to_numpy()
    gaps = values.isna().to_numpy(float) @ (c.T != 0)
    differences = values.fillna(0.0).to_numpy() @ c.T / np.sqrt((c**2).sum(axis=1))
    return np.where(gaps > 0, np.nan, differences)


def _variances(differences: Array) -> tuple[Array, Array]:
    """Variance of each column and its degrees of freedom."""
    freedom = np.maximum((~np.isnan(differences)).sum(axis=0) - 1.0, 0.0)
    mean = np.nansum(differences, axis=0) / (freedom + 1)
    variance = np.nansum((differences - mean) ** 2, axis=0) / np.where(freedom > 0, freedom, np.nan)
    return variance, freedom


def _pool(differences: Array, columns: int, *, seed_cancels: bool) -> Pooling:
    """Pooling of the unit variances of ``differences`` (repetitions, contrasts) of a number of columns.

    ``share`` limits the degrees of freedom to ``d / (share + (1 - share) / columns)``, since few columns determine the
    prior. The constants are the mildest of those tried with which the simulation keeps a coverage of 94 %.
    """
    multiple, share = (2.0, 0.1) if seed_cancels else (1.5, 0.25)
    variance, freedom = _variances(differences)
    known = freedom > 0
    if columns < LEAST_COLUMNS or not (variance[known] > 0).any():
        return Pooling(0.0, 0.0, 0.0, multiple)
    scale, prior_freedom = prior_of_variances(variance[known], freedom[known], columns)
    complete = differences[:, known]
    complete = complete[~np.isnan(complete).any(axis=1)]
    typical = float(np.median(freedom[known]))
    rank = columns - seed_cancels
    if len(complete) > 2:
        most = _pooled_freedom(complete, rank)
    else:
        most, share = typical * rank, 0.25
    return Pooling(scale, prior_freedom, min(most, typical / (share + (1 - share) / columns)), multiple)


def _pooled_freedom(differences: Array, rank: int) -> float:
    """Degrees of freedom of the mean variance of correlated differences (Huynh and Feldt 1976), at most rank times d.

    They are ``d tr(S)**2 / tr(S**2)`` with the covariance S, of which both terms are estimated without bias.
    """
    d = len(differences) - 1
    centred = differences - differences.mean(axis=0)
    gram = centred @ centred.T / d
    trace, squares = float(np.trace(gram)), float((gram**2).sum())
    squares = d**2 / ((d - 1) * (d + 2)) * (squares - trace**2 / d)
    squared_trace = trace**2 - 2 * squares / d
    return d * (float(np.clip(squared_trace / squares, 1, rank)) if squares > 0 else rank)
