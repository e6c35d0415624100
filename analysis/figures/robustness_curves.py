"""Figure of robustness curves with their fits (Walking Noise v1, figure 1)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis import published_results
from analysis.figures.layout.error_bars import draw_bars
from analysis.figures.layout.families import NETWORKS, PANEL_PER_POINT, Family, families, run_count_sentence
from analysis.figures.layout.panels import legend_handles, panel_grid
from analysis.figures.layout.style import (
    FAINT,
    WIDTH,
    Plot,
    color_and_marker,
    drawn_levels,
    legend_columns,
    line_style,
    save_figure,
    scale_levels,
)
from analysis.labels import format_estimate, level_axis_label
from analysis.midpoints.curves.weighted_fit import PARAMETERS, Array
from analysis.midpoints.study import FittedSeries, Study

Curve = Callable[[Array], Array]
"""A function from log10 of levels to accuracies."""

COLUMNS = 4
SMALLER = 4
"""Number of series after which markers and lines begin large again."""
_LINE, _X = 0.16, 0.45
"""Heights of a line of the legend, and of the label of the x axis with its ticks, in inches."""
PLACES = {"global": "at all points", "walking": "at one point at a time"}

_BARS = (
    "Points: mean over the repetitions; bars: ± one standard deviation. Lines: weighted fit of a logistic, as in the "
    "papers; of each four series, every one has a thinner line than the one before. Dotted: midpoint μ, the geometric "
    "mean over the repetitions."
)


def draw_global(study: Study, folder: Path) -> list[Plot]:
    """A figure of the series under global noise per data set, model and noise kind."""
    chosen = [
        each for each in study.fitted_series if each.settings["noise.point"] == "global" and len(each.series.used)
    ]
    return [_draw_global(family, folder) for family in families(chosen, NETWORKS)]


def draw_walking(study: Study, folder: Path) -> list[Plot]:
    """A figure per data set, model with or without BatchNorm, and noise kind: a panel for each noise point.

    Only families with a series that has enough levels for a fit are drawn.
    """
    chosen = [
        each for each in study.fitted_series if isinstance(each.settings["noise.point"], int) and len(each.series.used)
    ]
    return [
        _draw_walking(family, folder) for family in families(chosen, PANEL_PER_POINT)
        if any(each.series.used["level"].nunique() > PARAMETERS for each in family.members)
    ]  # fmt: skip


def _draw_global(family: Family[FittedSeries], folder: Path) -> Plot:
    levels = levels_of(family.members)
    labels = family.labels()
    midpoints = [f", μ = {format_estimate(each.fit.mu)}" if each.fit.mu.is_known else "" for each in family.members]
    named = [label + midpoint for label, midpoint in zip(labels, midpoints, strict=True)]
    columns = min(2, legend_columns(named, 0.8 * WIDTH))
    below = _LINE * math.ceil(len(named) / columns)
    height = max(3.5, 2.8 + below)
    figure = Figure(figsize=(0.8 * WIDTH, height))
    figure.set_layout_engine("none")
    axes = figure.subplots(gridspec_kw={"left": 0.09, "right": 0.98, "bottom": (below + _X) / height, "top": 0.98})
    for order, each in enumerate(family.members):
        _draw_curve(axes, each, levels, order)
    draw_chance(axes, family.members[0].series.chance_accuracy)
    scale_levels(axes, levels)
    axes.set_ylim(0, 1.02)
    axes.set_xlabel(level_axis_label(family.members[0].settings))
    axes.set_ylabel("validation accuracy")
    figure.legend(handles=legend_handles(named), loc="lower center", ncols=columns, borderaxespad=0)
    return _save(figure, family, labels, folder, "global")


def _draw_walking(family: Family[FittedSeries], folder: Path) -> Plot:
    points = family.members[0].series.points
    levels = levels_of(family.members)
    labels = family.labels(leave_out=["noise.point"])
    order = list(dict.fromkeys(labels))
    axis = level_axis_label(family.members[0].settings)
    figure, panels = panel_grid(
        list(map(str, points)), COLUMNS, 1.2, axis, "validation accuracy", legend_handles(order),
        lambda axes: scale_panels(axes, levels, 4),
    )  # fmt: skip
    for point, axes in enumerate(panels):
        here = [pair for pair in zip(family.members, labels, strict=True) if pair[0].settings["noise.point"] == point]
        for each, label in here:
            _draw_curve(axes, each, levels, order.index(label), size=2.8)
        if here:
            draw_chance(axes, here[0][0].series.chance_accuracy)
        else:
            axes.text(0.5, 0.5, "no runs", transform=axes.transAxes, ha="center", color=FAINT)
    return _save(figure, family, labels, folder, "walking")


def scale_panels(axes: Axes, levels: Sequence[float], most_ticks: int) -> None:
    """Make x an axis of levels and y an axis of accuracies, in small panels."""
    scale_levels(axes, levels, most_ticks, minor=False)
    axes.set_ylim(0, 1.02)


def draw_points(axes: Axes, each: FittedSeries, levels: Sequence[float], order: int, size: float = 3.8) -> None:
    """Draw the mean accuracies of a series with their standard deviations, and × at levels with float32 overflow.

    ``levels`` are all levels of the axes. ``order`` selects colour and marker. The marker is smaller than that of the
    series before, in turns of ``SMALLER`` series, so that equal series stay visible.
    """
    color, marker = color_and_marker(order)
    smaller = 0.4 * (order % SMALLER)
    curve = each.series.curve
    at = dict(zip(levels, drawn_levels(levels), strict=True))
    x = np.array([at[level] for level in curve["level"]])
    measured, overflown = curve["n"].to_numpy() > 0, curve["overflow"].to_numpy() > 0
    mean, std = curve["mean"].to_numpy(float), curve["std"].to_numpy(float)
    axes.plot(
        x[measured], mean[measured], marker, color=color, markersize=max(size - smaller, 1.6), markeredgewidth=0,
    )  # fmt: skip
    draw_bars(axes, x, mean - std, mean + std, order)
    if overflown.any():
        axes.plot(x[overflown], [each.series.chance_accuracy] * overflown.sum(), "x", color=color, markersize=4.5)


def draw_chance(axes: Axes, accuracy: float) -> None:
    """Draw the accuracy of a constant answer."""
    axes.axhline(accuracy, color=FAINT, linestyle="--", linewidth=0.8, zorder=0)


def _draw_curve(axes: Axes, each: FittedSeries, levels: Sequence[float], order: int, size: float = 3.8) -> None:
    color, _ = color_and_marker(order)
    if each.fit.weighted is not None:
        fine = np.geomspace(each.fit.lowest, each.fit.highest, 150)
        width = 1.8 - 0.4 * (order % SMALLER)
        accuracies, line = each.fit.weighted.curve(np.log10(fine)), line_style(order)
        axes.plot(fine, accuracies, color=color, linestyle=line, linewidth=width, zorder=1.8)
    if each.fit.mu.is_known:
        halfway = (each.fit.a_max.value + each.fit.chance_accuracy) / 2
        axes.plot([each.fit.mu.value] * 2, [0, halfway], color=color, linestyle=":", linewidth=0.9, zorder=1.7)
    draw_points(axes, each, levels, order, size)


def _save(figure: Figure, family: Family[FittedSeries], labels: Sequence[str], folder: Path, where: str) -> Plot:
    title = f"{family.title}, {PLACES[where]}: robustness curves"
    if where == "global":
        title = published_results.numbered_title(1, family.settings, title)
    key = "Dashed: chance accuracy (accuracy of a constant answer); ×: float32 overflow."
    caption = f"{_BARS} {key} {run_count_sentence(family.members)}"
    pairs = zip(family.members, labels, strict=True)
    tables = [
        curve_table(each, label, fit=None if each.fit.weighted is None else each.fit.weighted.curve)
        for each, label in pairs
    ]
    numbers = pd.concat(tables, ignore_index=True)
    return save_figure(figure, numbers, folder, f"robustness-{family.slug}-{where}", title, caption)


def levels_of(members: Sequence[FittedSeries]) -> list[float]:
    """All levels of some series, the lowest first."""
    return list(map(float, np.unique(np.concatenate([each.series.curve["level"] for each in members]))))


def curve_table(each: FittedSeries, label: str, **fits: Curve | None) -> pd.DataFrame:
    """Drawn numbers of a series and the values of its fits (NaN without a fit), a row per level."""
    curve = each.series.curve
    with np.errstate(divide="ignore"):
        x = np.log10(curve["level"].to_numpy(float))
    fitted = {name: math.nan if fit is None else fit(x) for name, fit in fits.items()}
    table = curve.assign(**fitted)
    table.insert(0, "series", label)
    table.insert(1, "point", each.series.point_name)
    return table
