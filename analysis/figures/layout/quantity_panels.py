"""Figure of a quantity at each noise point over the noise level, with a panel per point."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray

from analysis.figures.layout.error_bars import draw_bars
from analysis.figures.layout.families import PANEL_PER_POINT, TRAININGS, Family, families, run_count_sentence
from analysis.figures.layout.panels import legend_handles, panel_grid
from analysis.figures.layout.style import (
    Plot,
    color_and_marker,
    drawn_levels,
    line_style,
    save_figure,
    scale_levels,
    scale_midpoints,
)
from analysis.labels import level_axis_label
from analysis.midpoints.study import FittedSeries, Study
from analysis.runs.run_frame import rows
from analysis.runs.series import Settings

COLUMNS = 4

_PLACES = {"global": "at all points", "walking": "at one point at a time"}
_BARS = (
    "Lines: mean over the repetitions; bars: from the lowest to the highest repetition; "
    "a value of 0 lies below the axis."
)


@dataclass(frozen=True)
class Quantity:
    """Quantity that is drawn over the level.

    Attributes
    ----------
    name
        Start of the file names.
    title, axis
        Texts for the title of the figure and the label of its y axis.
    shown
        Whether the quantity is drawn for a series with these settings.
    at
        Value, 0 or above, for a run (a row of the data frame) and a noise point; NaN where there is none.
    needs
        Columns of the data frame that ``at`` reads.
    panels
        Sentences of the caption that explain the panels.
    """

    name: str
    title: str
    axis: str
    shown: Callable[[Settings], bool]
    at: Callable[[Mapping[str, Any], int], float]
    needs: tuple[str, ...]
    panels: str


def draw(quantity: Quantity, study: Study, folder: Path) -> list[Plot]:
    """A figure per data set, model and noise kind under global noise, then under walking noise."""
    chosen = [each for each in study.fitted_series if quantity.shown(each.settings) and len(each.series.used)]
    everywhere = [each for each in chosen if each.settings["noise.point"] == "global"]
    walking = [each for each in chosen if isinstance(each.settings["noise.point"], int)]
    all_families = [("global", family) for family in families(everywhere, TRAININGS)]
    all_families += [("walking", family) for family in families(walking, PANEL_PER_POINT)]
    tables = [(where, family, table_of(quantity, family)) for where, family in all_families]
    return [
        _draw(quantity, where, family, table, folder)
        for where, family, table in tables if len(table) and (table["mean"] > 0).any()
    ]  # fmt: skip


def table_of(quantity: Quantity, family: Family[FittedSeries]) -> pd.DataFrame:
    """Drawn numbers: a row per series, noisy point and level at which the quantity was measured in ``n`` runs.

    Columns: ``series``, ``point``, ``name``, ``level``, ``n``, ``planned``, and ``mean``, ``low`` and ``high`` over the
    repetitions.
    """
    labels = family.labels(leave_out=["noise.point"])
    parts = [_columns(quantity, each, label) for each, label in zip(family.members, labels, strict=True)]
    return pd.DataFrame({name: np.concatenate([part[name] for part in parts]) for name in parts[0]})


def _columns(quantity: Quantity, each: FittedSeries, label: str) -> dict[str, NDArray[Any]]:
    """Columns of one series: its levels, the lowest first, and at each level its noisy points."""
    points = each.series.noisy_points
    runs = rows(each.series.used[list(quantity.needs)])
    values = np.array([[quantity.at(run, point.number) for point in points] for run in runs])
    levels, place = np.unique(each.series.used["level"].to_numpy(float), return_inverse=True)
    of_level = [values[place == number] for number in range(len(levels))]
    known = [np.isfinite(here) for here in of_level]
    n = np.array([which.sum(axis=0) for which in known])
    total = np.array([np.where(which, here, 0).sum(axis=0) for which, here in zip(known, of_level, strict=True)])
    low, high = (
        np.array([choose(np.where(which, here, beyond), axis=0) for which, here in zip(known, of_level, strict=True)])
        for choose, beyond in ((np.min, math.inf), (np.max, -math.inf))
    )
    planned = Counter(each.series.runs["level"].tolist())
    measured = n > 0
    columns = {
        "series": np.array([label], object), "point": np.array([point.number for point in points]),
        "name": np.array([point.name for point in points], object), "level": levels[:, None],
        "n": n, "planned": np.array([planned[level] for level in levels.tolist()])[:, None],
        "mean": total / np.maximum(n, 1), "low": low, "high": high,
    }  # fmt: skip
    return {name: np.broadcast_to(column, n.shape)[measured] for name, column in columns.items()}


def _draw(quantity: Quantity, where: str, family: Family[FittedSeries], table: pd.DataFrame, folder: Path) -> Plot:
    names = dict(sorted(zip(table["point"], table["name"], strict=True)))
    order = list(dict.fromkeys(table["series"]))
    levels = sorted(set(table["level"]))
    low, high = table["low"][table["low"] > 0].min() / 1.3, table["high"].max() * 1.3

    def scale(axes: Axes) -> None:
        scale_levels(axes, levels, most_ticks=4, minor=False)
        scale_midpoints(axes, low, high, most_ticks=6, minor=False)

    figure, panels = panel_grid(
        [f"{point} {name}" for point, name in names.items()], COLUMNS, 1.2,
        level_axis_label(family.members[0].settings), quantity.axis, legend_handles(order), scale,
    )  # fmt: skip
    at = dict(zip(levels, drawn_levels(levels), strict=True))
    panel_of = dict(zip(names, panels, strict=True))
    placed = table.assign(x=[at[level] for level in table["level"]])
    for (point, label), line in placed.groupby(["point", "series"], sort=False):
        _draw_line(panel_of[point], line, order.index(label))
    title = f"{family.title}, noise {_PLACES[where]}: {quantity.title}"
    caption = f"{quantity.panels} {_BARS} {run_count_sentence(family.members)}"
    return save_figure(figure, table, folder, f"{quantity.name}-{family.slug}-{where}", title, caption)


def _draw_line(axes: Axes, line: pd.DataFrame, number: int) -> None:
    """Draw series ``number`` in a panel. Its markers are smaller than those of the one before, which stay visible."""
    color, marker = color_and_marker(number)
    axes.plot(
        line["x"].to_numpy(), line["mean"].to_numpy(), marker=marker, linestyle=line_style(number),
        color=color, linewidth=0.9,
        markersize=max(3.4 - 0.6 * number, 1.6), markeredgewidth=0, zorder=2 + 0.1 * number,
    )  # fmt: skip
    draw_bars(axes, line["x"], line["low"], line["high"], number)
