"""Series of runs. The runs of a series differ only in level and seed, and give one robustness curve."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.runs.run_frame import SEED_SETTINGS, STATE_NAMES, distinct_runs
from analysis.runs.run_settings import CURVE_LEVELS, is_storage_setting
from walking_noise import RunConfig
from walking_noise.models.point import Point, points_behind_weights

Settings = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Series:
    """The runs of one robustness curve.

    Attributes
    ----------
    settings
        Settings that its runs share, by dotted name. Seeds and storage settings
        (:data:`analysis.runs.run_settings.STORAGE_SETTINGS`) are left out; the setting that is the level is None.
    runs
        A row per distinct run, as in :func:`analysis.runs.run_frame.to_frame`. Equal runs have one row.
    repeated
        Number of further documents that are equal to one of these runs.
    """

    settings: Settings
    runs: pd.DataFrame
    repeated: int

    @cached_property
    def used(self) -> pd.DataFrame:
        """Runs that enter means and fits: completed runs without float32 overflow.

        Diverged runs are included.
        """
        return self.runs[(self.runs["state"] == "completed") & (self.runs["outcome"] != "overflow")]

    @property
    def has_curve(self) -> bool:
        """Whether every run has a level.

        Runs without noise, with noise mapped to the points, or with two levels at once have none.
        """
        return bool(self.runs["level"].notna().all())

    @cached_property
    def chance_accuracy(self) -> float:
        """Accuracy of a constant answer on the validation set; NaN before a run has completed."""
        return float(self.used["floor"].median())

    @property
    def point_name(self) -> str:
        """Name of the noise point in tables and figures: ``3 relu1``, ``global`` or ``mapped``."""
        point = self.settings["noise.point"]
        return str(self.points[point] if isinstance(point, int) else point)

    @cached_property
    def points(self) -> tuple[Point, ...]:
        """The model's noise points."""
        points: tuple[Point, ...] = self.runs["points"].iloc[0]
        return points

    @property
    def noisy_points(self) -> list[Point]:
        """The points where the series has noise: one point, or all points but noise-free BatchNorm points."""
        point, on_batch_norm = self.settings["noise.point"], self.settings["noise.on_batch_norm"]
        if isinstance(point, int):
            return [self.points[point]]
        if self.settings["noise.target"] == "weights":
            return [self.points[number] for number in points_behind_weights(self.points)]
        return [each for each in self.points if on_batch_norm or not each.after_batch_norm]

    @cached_property
    def curve(self) -> pd.DataFrame:
        """The robustness curve: a row per level, the lowest first.

        The columns are level, n, mean, std, planned, overflow and diverged. Mean and std are taken over the ``n``
        repetitions used; std is the sample standard deviation (n - 1), and NaN for n = 1.
        """
        levels, place = np.unique(self.runs["level"].to_numpy(float), return_inverse=True)

        def count(chosen: NDArray[np.bool_] | slice) -> NDArray[np.intp]:
            return np.bincount(place[chosen], minlength=len(levels))

        outcome = self.runs["outcome"].to_numpy(object)
        completed = self.runs["state"].to_numpy(object) == "completed"
        used = completed & (outcome != "overflow")
        n, accuracy = count(used), self.runs["accuracy"].to_numpy(float)[used]
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = np.bincount(place[used], accuracy, len(levels)) / n
            deviations = (accuracy - mean[place[used]]) ** 2
            std = np.sqrt(np.bincount(place[used], deviations, len(levels)) / np.where(n > 1, n - 1, np.nan))
        return pd.DataFrame({
            "level": levels, "n": n, "mean": mean, "std": std, "planned": count(slice(None)),
            "overflow": count(completed & (outcome == "overflow")),
            "diverged": count(completed & (outcome == "diverged")),
        })  # fmt: skip

    @cached_property
    def counts(self) -> dict[str, int]:
        """Numbers of runs: planned, used, diverged, overflowed, in each state without a result, and repeated.

        ``planned`` is the sum of ``used``, ``overflow`` and the states. Diverged runs are included in ``used``.
        """
        states = Counter(self.runs["state"])
        outcomes = Counter(self.runs["outcome"][self.runs["state"] == "completed"])
        return {
            "planned": len(self.runs),
            "used": len(self.used),
            "diverged": outcomes["diverged"],
            "overflow": outcomes["overflow"],
            **{state: states[state] for state in STATE_NAMES if state != "completed"},
            "repeated": self.repeated,
        }


def group_series(runs: pd.DataFrame) -> list[Series]:
    """The series of ``runs``, sorted by their settings. Runs with refused settings belong to no series.

    A run at level 0 belongs to the series that has its settings, although it equals runs of other series.
    """
    known = runs[runs["run_key"].notna()]
    shared = [name for name in RunConfig().to_flat() if name not in SEED_SETTINGS and not is_storage_setting(name)]
    places: dict[tuple[Any, ...], list[int]] = {}
    for place, values in enumerate(zip(*(_without_level(known[name]) for name in shared), strict=True)):
        places.setdefault(values, []).append(place)
    series = [_series(dict(zip(shared, values, strict=True)), known.iloc[each]) for values, each in places.items()]
    return sorted(series, key=lambda each: [_rank(value) for value in each.settings.values()])


def _without_level(column: pd.Series[Any]) -> list[Any]:
    """Values of a setting, None where it is a level."""
    is_level = column.name in CURVE_LEVELS
    return [None if is_level and not isinstance(value, tuple) else value for value in column]


def _series(settings: Settings, runs: pd.DataFrame) -> Series:
    distinct = distinct_runs(runs)
    return Series(settings, distinct.reset_index(drop=True), len(runs) - len(distinct))


def _rank(value: Any) -> tuple[int, Any]:
    """Sort key for settings of any type: null first, then names, numbers and lists."""
    if value is None:
        return 0, 0
    if isinstance(value, str):
        return 1, value
    return (3, value) if isinstance(value, tuple) else (2, value)
