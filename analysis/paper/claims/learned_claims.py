"""Claims on training with additive noise: larger weights and a higher signal-to-noise ratio."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pandas as pd

from analysis.midpoints.study import FittedSeries, Study
from analysis.paper.claims.claim import ABOVE, Case, claim
from analysis.paper.claims.midpoint_claims import MARGIN, WALKING
from analysis.paper.claims.walks import Walk, case, log_midpoints, pairs, walks
from analysis.paper.planned_grids import COARSE
from analysis.runs.point_quantities import mean_abs_weight, signal
from analysis.runs.run_frame import rows

Quantity = Callable[[Mapping[str, Any], int], float]
"""A quantity of a run at a noise point; NaN where there is none."""

_NEEDS = (
    "additive walking noise, both trained with noise and with noise at inference only, with stored signal and weights"
)
_AT = "at the level closest to the μ of the series with noise at inference only"


@claim(
    source="v2, abstract",
    statistic="the mean of log10(signal-to-noise ratio trained with noise / at inference only) over all points except "
    f"the input, {_AT},",
    region=(MARGIN, ABOVE),
    needs=_NEEDS,
    grids=(*WALKING, COARSE),
)
def more_signal(study: Study) -> Iterator[Case]:
    """Training with additive noise improves the signal-to-noise ratio."""
    for trained, untrained in _trained_pairs(study):
        gains = _gains(trained, untrained, signal).drop(columns=0, errors="ignore")
        yield _case(gains, trained, untrained)


@claim(
    source="v2, abstract; v1, Table II",
    statistic="the mean of log10(mean |weight| of the layer trained with noise / without) over the points after conv "
    f"and linear layers, {_AT},",
    region=(MARGIN, ABOVE),
    needs=_NEEDS,
    grids=(*WALKING, COARSE),
)
def larger_weights(study: Study) -> Iterator[Case]:
    """Training with additive noise increases the weights."""
    for trained, untrained in _trained_pairs(study):
        yield _case(_gains(trained, untrained, mean_abs_weight), trained, untrained)


def _trained_pairs(study: Study) -> Iterator[tuple[Walk, Walk]]:
    return pairs(walks(study, noise__kind="additive", training__weight_clamp=None), "noise.in_training", True, False)


def _gains(trained: Walk, untrained: Walk, at: Quantity) -> pd.DataFrame:
    """log10 of the ratio of a quantity in both walks: (repetitions, points). Points without measurements are left out.

    Both walks have the same noise, so that the ratio of the signals equals the ratio of the signal-to-noise ratios.
    """
    gains = {}
    for point in trained.at.keys() & untrained.at.keys():
        level = _level_of_interest(trained.at[point], untrained.at[point])
        both = [_log_at(each.at[point], level, point, at) for each in (trained, untrained)]
        gains[point] = both[0] - both[1]
    table = pd.DataFrame({point: gains[point] for point in sorted(gains)})
    return table.dropna(axis="columns", how="all")


def _level_of_interest(trained: FittedSeries, untrained: FittedSeries) -> float:
    """Level that both series have and that is closest to the midpoint at inference only; NaN without one."""
    shared = set(trained.series.used["level"]) & set(untrained.series.used["level"]) - {0.0}
    middle = log_midpoints(untrained).mean()
    if math.isnan(middle):
        return math.nan
    return min(sorted(shared), key=lambda level: abs(math.log10(level) - middle), default=math.nan)


def _log_at(each: FittedSeries, level: float, point: int, at: Quantity) -> pd.Series[float]:
    """log10 of a quantity at a point and level, for each repetition."""

    def log(run: Mapping[str, Any]) -> float:
        value = at(run, point)
        return math.log10(value) if value > 0 else math.nan

    runs = each.series.used[each.series.used["level"] == level]
    return pd.Series({run["repetition"]: log(run) for run in rows(runs)}, dtype=float)


def _case(gains: pd.DataFrame, *compared: Walk) -> Case:
    """Case of the mean over the points, in the repetitions that have all points."""
    return case(gains.dropna().mean(axis=1), *compared, note=f"points compared: {len(gains.columns)}")
