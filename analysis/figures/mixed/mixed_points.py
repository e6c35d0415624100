"""Figure of the midpoint amplitude of mixed noise at each noise point, for each mixing ratio (for v2's grids)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from analysis.figures.layout.families import MIXED_POINTS, grouped
from analysis.figures.layout.style import Plot
from analysis.figures.midpoints_by_point import draw_walks
from analysis.figures.mixed.mixed_sweeps import OUR_READING
from analysis.midpoints.curves.weighted_fit import PARAMETERS
from analysis.midpoints.study import FittedSeries, Study
from analysis.runs.noise_kinds import is_mixed


def draw(study: Study, folder: Path) -> list[Plot]:
    """A figure per data set, model, order and training, with a series per mixing ratio."""
    mixed = [each for each in study.fitted_series if is_mixed(each.settings)]
    plots = draw_walks(_with_several_points(mixed), MIXED_POINTS, folder)
    return [replace(plot, caption=f"{OUR_READING} {plot.caption}") for plot in plots]


def _with_several_points(mixed: Sequence[FittedSeries]) -> list[FittedSeries]:
    """Series with enough levels for a midpoint. Each ratio has these series at two or more points."""
    curves = [each for each in mixed if each.series.used["level"].nunique() > PARAMETERS]
    several = [group for group in grouped(curves, ["noise.point"]) if len(group) > 1]
    return [each for each in curves if any(each in group for group in several)]
