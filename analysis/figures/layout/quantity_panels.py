"""Figure of a quantity at each noise point over the noise level, with a panel per point."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from analysis.figures.layout.families import PANEL_PER_POINT, TRAININGS, Family, families, run_count_sentence
from analysis.figures.layout.panels import legend_handles, panel_grid
from analysis.figures.layout.style import (
    INK,
    Plot,
    color_and_marker,
    drawn_levels,
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
    panels
        Sentences of the caption that explain the panels.
    """

    name: str
    title: str
    axis: str
    shown: Callable[[Settings], bool]
    at: Callable[[Mapping[str, Any], int], float]
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
    return pd.DataFrame([
        {"series": label, **row}
        for each, label in zip(family.members, labels, strict=True)
        for row in _rows(quantity, each)
    ])  # fmt: skip


def _rows(quantity: Quantity, each: FittedSeries) -> Iterator[dict[str, Any]]:
    planned = each.series.runs.groupby("level").size()
    for level, runs in each.series.used.groupby("level"):
        records = rows(runs)
        for point in each.series.noisy_points:
            values = [value for run in records if math.isfinite(value := quantity.at(run, point.number))]
            if values:
                yield {
                    "point": point.number, "name": point.name, "level": level, "n": len(values),
                    "planned": planned[level], "mean": np.mean(values), "low": min(values), "high": max(values),
                }  # fmt: skip


def _draw(quantity: Quantity, where: str, family: Family[FittedSeries], table: pd.DataFrame, folder: Path) -> Plot:
    panels = table.drop_duplicates("point").sort_values("point")
    figure, grid = panel_grid(len(panels), COLUMNS, 1.5, 0.8)
    order = list(dict.fromkeys(table["series"]))
    levels = sorted(set(table["level"]))
    for axes, point, name in zip(grid, panels["point"], panels["name"], strict=True):
        _draw_panel(axes, table[table["point"] == point], levels, order)
        axes.set_title(f"{point} {name}", fontsize=8, pad=3)
        scale_midpoints(axes, table["low"][table["low"] > 0].min() / 1.3, table["high"].max() * 1.3)
    figure.supxlabel(level_axis_label(family.members[0].settings), fontsize=8)
    figure.supylabel(quantity.axis, fontsize=8)
    figure.legend(handles=legend_handles(order), loc="outside upper center", ncols=min(len(order), 2), labelcolor=INK)
    title = f"{family.title}, noise {_PLACES[where]}: {quantity.title}"
    caption = f"{quantity.panels} {_BARS} {run_count_sentence(family.members)}"
    return save_figure(figure, table, folder, f"{quantity.name}-{family.slug}-{where}", title, caption)


def _draw_panel(axes: Axes, here: pd.DataFrame, levels: Sequence[float], order: Sequence[str]) -> None:
    """Draw the series of a panel. Each has smaller markers than the one before, so that equal series stay visible."""
    at = dict(zip(levels, drawn_levels(levels), strict=True))
    for number, label in enumerate(order):
        line = here[here["series"] == label]
        color, marker = color_and_marker(number)
        spread = np.abs([line["low"] - line["mean"], line["high"] - line["mean"]])
        axes.errorbar(
            line["level"].map(at), line["mean"], spread, fmt=f"{marker}-", color=color, elinewidth=0.9, linewidth=0.9,
            markersize=max(4 - 0.7 * number, 1.8),
        )  # fmt: skip
    scale_levels(axes, levels, most_ticks=4)
