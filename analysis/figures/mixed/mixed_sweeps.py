"""Sweeps of mixed noise (Walking Noise v2): accuracy over both levels, or over amplitude and mixing ratio.

The figures of v2 are not available. The figures made from its grids are our own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from analysis.midpoints.study import Study
from analysis.runs.noise_kinds import is_mixed
from analysis.runs.series import Series, Settings
from walking_noise.models.point import Point

OUR_READING = "Our own figure for v2's grids (v2's figures are not available)."

BOTH_LEVELS = ("noise.std_mul", "noise.std_add")
AMPLITUDE_AND_RATIO = ("noise.amplitude", "noise.ratio")

ORDERS = ("multiply_first", "add_first")

SWEPT = (*BOTH_LEVELS, *AMPLITUDE_AND_RATIO, "noise.order")


@dataclass(frozen=True, eq=False)
class Sweep:
    """Runs of mixed noise that differ only in the two levels, the order, and the seeds.

    Attributes
    ----------
    settings
        Shared settings by dotted name; the swept settings are None.
    points
        The model's noise points.
    axes
        Names of the two settings that give the levels.
    cells
        A row per order and pair of levels, with the columns ``order``, ``x`` and ``y`` (the settings ``axes``), ``n``,
        ``mean`` and ``std`` of the accuracy over the used runs (sample standard deviation, NaN for n = 1), ``floor``
        (chance accuracy), ``planned`` and ``overflow``.
    """

    settings: Settings
    points: tuple[Point, ...]
    axes: tuple[str, str]
    cells: pd.DataFrame


def sweeps(study: Study) -> list[Sweep]:
    """All sweeps of a study, in the order of its series."""
    groups: dict[tuple[str, tuple[str, str]], list[Series]] = {}
    for series in (*(each.series for each in study.fitted_series), *study.series_without_curve):
        if is_mixed(series.settings) and series.settings["noise.point"] != "mapped":
            groups.setdefault((repr(_shared(series)), _axes(series)), []).append(series)
    return [
        Sweep(
            settings=_shared(members[0]),
            points=members[0].points,
            axes=axes,
            cells=pd.DataFrame([cell for series in members for cell in _cells(series)]),
        )
        for (_, axes), members in groups.items()
    ]


def _shared(series: Series) -> Settings:
    return {name: None if name in SWEPT else value for name, value in series.settings.items()}


def _axes(series: Series) -> tuple[str, str]:
    return AMPLITUDE_AND_RATIO if series.settings["noise.std_mul"] is None else BOTH_LEVELS


def _cells(series: Series) -> Iterator[dict[str, object]]:
    for (x, y), runs in series.runs.groupby([series.runs[name].astype(float) for name in _axes(series)], sort=True):
        used = series.used[series.used.index.isin(runs.index)]["accuracy"]
        yield {
            "order": series.settings["noise.order"], "x": x, "y": y, "n": len(used), "mean": used.mean(),
            "std": used.std(), "floor": series.chance_accuracy, "planned": len(runs),
            "overflow": int((runs["outcome"] == "overflow").sum()),
        }  # fmt: skip
