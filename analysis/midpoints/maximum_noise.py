"""What is left at maximum noise: accuracy, and its share of the accuracy without noise."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from analysis.midpoints.study import FittedSeries, Study
from analysis.runs.noise_free import noise_free
from analysis.runs.noise_kinds import has_one_level
from analysis.runs.series import Settings

MAXIMUM = 1e10
"""From this level on noise counts as maximum."""


def is_maximum(levels: pd.Series[float]) -> pd.Series[bool]:
    """Which levels are maximum noise, up to rounding in how a grid makes them."""
    return levels > (1 - 1e-6) * MAXIMUM


@dataclass(frozen=True, eq=False)
class Left:
    """What a series of walking noise keeps at maximum noise.

    Attributes
    ----------
    series
        The series.
    runs
        Its runs used at the highest level that has any, which is at least :data:`MAXIMUM`.
    reference
        The runs without noise.
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
        """How many runs at that level and above float32 could not hold."""
        runs = self.series.series.runs
        return int(((runs["level"] >= self.level) & (runs["outcome"] == "overflow")).sum())

    @cached_property
    def accuracy(self) -> tuple[float, float]:
        """Mean and standard deviation over the repetitions; the latter NaN for one."""
        return float(self.runs["accuracy"].mean()), float(self.runs["accuracy"].std())

    @cached_property
    def without_noise(self) -> tuple[float, float]:
        """The same of the runs without noise; NaN without any."""
        return float(self.reference["accuracy"].mean()), float(self.reference["accuracy"].std())

    @property
    def preserved(self) -> tuple[float, float]:
        """Accuracy at maximum noise over accuracy without noise, and its standard deviation to first order.

        The deviation is that of both accuracies; NaN if one of them has a single repetition.
        """
        (accuracy, std), (reference, reference_std) = self.accuracy, self.without_noise
        ratio = accuracy / reference
        return ratio, math.hypot(std, ratio * reference_std) / reference


def left_at_maximum(study: Study) -> list[Left]:
    """Every series of walking noise with one level that has runs at maximum noise."""
    found, silent = [], study.runs[study.runs["noisy"].eq(False)]
    for each in study.fitted:
        extreme = each.series.used[is_maximum(each.series.used["level"])]
        walking = isinstance(each.settings["noise.point"], int) and has_one_level(each.settings)
        if walking and len(extreme):
            highest = extreme[extreme["level"] == extreme["level"].max()]
            found.append(Left(each, highest, noise_free(silent, each.settings)))
    return found
