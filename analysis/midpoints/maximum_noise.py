"""Accuracy at maximum noise, absolute and relative to the accuracy without noise."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

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
    def accuracy(self) -> tuple[float, float]:
        """Mean and standard deviation over the repetitions. The standard deviation of one repetition is NaN."""
        return float(self.runs["accuracy"].mean()), float(self.runs["accuracy"].std())

    @cached_property
    def without_noise(self) -> tuple[float, float]:
        """Mean and standard deviation of the noise-free runs; NaN if there are none."""
        return float(self.reference["accuracy"].mean()), float(self.reference["accuracy"].std())

    @property
    def preserved(self) -> tuple[float, float]:
        """Accuracy at maximum noise over accuracy without noise, and its standard deviation to first order.

        The deviation combines those of both accuracies. It is NaN if one of them has a single repetition.
        """
        (accuracy, std), (reference, reference_std) = self.accuracy, self.without_noise
        ratio = accuracy / reference
        return ratio, math.hypot(std, ratio * reference_std) / reference


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
