"""Accuracy at maximum noise, absolute and relative to the accuracy without noise."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from analysis.intervals import Estimate, mean_accuracy, ratio_of_means
from analysis.midpoints.study import FittedSeries, Study
from analysis.runs.noise_free import noise_free_runs
from analysis.runs.noise_kinds import has_one_level
from analysis.runs.series import Settings

MAXIMUM = 1e10
"""Lowest level that counts as maximum noise."""


def is_maximum(levels: pd.Series[float]) -> pd.Series[bool]:
    """Which levels are maximum noise. The comparison allows for rounding errors of the levels in a grid."""
    return levels > (1 - 1e-6) * MAXIMUM


@dataclass(frozen=True, eq=False)
class AccuracyAtMaximumNoise:
    """Accuracy of a series of walking noise at maximum noise.

    Attributes
    ----------
    series
        The series.
    runs
        Its used runs at the highest level that has used runs. The level is at least :data:`MAXIMUM`.
    reference
        The noise-free runs.
    """

    series: FittedSeries
    runs: pd.DataFrame
    reference: pd.DataFrame

    @property
    def settings(self) -> Settings:
        return self.series.settings

    @property
    def point(self) -> int:
        return int(self.series.settings["noise.point"])

    @property
    def level(self) -> float:
        return float(self.runs["level"].iloc[0])

    @property
    def planned(self) -> int:
        return int((self.series.series.runs["level"] == self.level).sum())

    @property
    def overflown(self) -> int:
        """Number of runs with float32 overflow at :attr:`level` or above."""
        runs = self.series.series.runs
        return int(((runs["level"] >= self.level) & (runs["outcome"] == "overflow")).sum())

    @cached_property
    def accuracy(self) -> Estimate:
        """Mean over the repetitions with its 95 % t interval."""
        return mean_accuracy(self.runs["accuracy"].tolist())

    @cached_property
    def without_noise(self) -> Estimate:
        """Mean of the noise-free runs with its 95 % t interval; NaN if there are none."""
        return mean_accuracy(self.reference["accuracy"].tolist())

    @cached_property
    def preserved(self) -> Estimate:
        """Accuracy at maximum noise over accuracy without noise, with its 95 % interval."""
        by_repetition = [each.set_index("repetition")["accuracy"] for each in (self.runs, self.reference)]
        return ratio_of_means(*by_repetition)


def accuracy_at_maximum_noise(study: Study) -> list[AccuracyAtMaximumNoise]:
    """All series of walking noise with one level setting and runs at maximum noise."""
    accuracies, without_noise = [], study.runs[study.runs["noisy"].eq(False)]
    for each in study.fitted_series:
        extreme = each.series.used[is_maximum(each.series.used["level"])]
        walking = isinstance(each.settings["noise.point"], int) and has_one_level(each.settings)
        if walking and len(extreme):
            highest = extreme[extreme["level"] == extreme["level"].max()]
            accuracies.append(AccuracyAtMaximumNoise(each, highest, noise_free_runs(without_noise, each.settings)))
    return accuracies
