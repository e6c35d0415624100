"""Mixed noise (v2, our own reading): the midpoint amplitude at each noise point, for each mixing ratio."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from analysis.figures.layout.families import MIXED_POINTS
from analysis.figures.layout.style import Plot
from analysis.figures.midpoints_by_point import draw_walks
from analysis.figures.mixed.mixed_sweeps import OUR_READING
from analysis.midpoints.study import FittedSeries, Study
from analysis.midpoints.weighted_fit import PARAMETERS
from analysis.runs.noise_kinds import is_mixed


def draw(study: Study, folder: Path) -> list[Plot]:
    """A figure per data set, model, order and training, with a series per mixing ratio."""
    mixed = [each for each in study.fitted_series if is_mixed(each.settings)]
    plots = draw_walks(_walked(mixed), MIXED_POINTS, folder)
    return [replace(plot, caption=f"{OUR_READING} {plot.caption}") for plot in plots]


def _walked(mixed: Sequence[FittedSeries]) -> list[FittedSeries]:
    """The series with enough levels for a midpoint, of ratios that have such series at two points at least."""
    curves = [each for each in mixed if each.series.used["level"].nunique() > PARAMETERS]
    alike = Counter(map(_but_the_point, curves))
    return [each for each in curves if alike[_but_the_point(each)] > 1]


def _but_the_point(each: FittedSeries) -> str:
    return repr({name: value for name, value in each.settings.items() if name != "noise.point"})
