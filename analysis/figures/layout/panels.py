"""Panels of a figure in rows, and the legend of its series."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.figures.layout.families import HasSettings
from analysis.figures.layout.style import WIDTH, color_and_marker


def panel_grid(
    count: int, columns: int, row_height: float, margin: float, *, narrow: float = 1.0, share_levels: bool = True
) -> tuple[Figure, list[Axes]]:
    """A figure with ``count`` panels in rows of ``columns``, which share their y axis.

    Parameters
    ----------
    row_height, margin
        Height of a row, and additional height of the figure, in inches.
    narrow
        Width of a figure with a single column, as a share of the width of the text.
    share_levels
        Whether the panels share their x axis, too. Only the lowest panel of each column then has labelled ticks.
    """
    columns = min(columns, count)
    rows = math.ceil(count / columns)
    figure = Figure(figsize=(WIDTH if columns > 1 else narrow * WIDTH, row_height * rows + margin))
    panels = list(figure.subplots(rows, columns, sharex=share_levels, sharey=True, squeeze=False).flat)
    for place, axes in enumerate(panels):
        axes.set_visible(place < count)
        if share_levels:
            axes.tick_params(labelbottom=place + columns >= count)
    return figure, panels[:count]


def batch_norm_panels(members: Iterable[HasSettings], row_height: float) -> tuple[Figure, dict[bool, Axes]]:
    """A figure with a panel without and a panel with BatchNorm, as far as they occur, with noise points along x."""
    occurring = sorted({bool(each.settings["model.batch_norm"]) for each in members})
    figure = Figure(figsize=(WIDTH, row_height * len(occurring) + 0.6))
    panels = dict(zip(occurring, figure.subplots(len(occurring), 1, squeeze=False).flat, strict=True))
    for batch_norm, axes in panels.items():
        axes.set_title("with BatchNorm" if batch_norm else "without BatchNorm")
    figure.supxlabel("noise point", fontsize=8)
    return figure, panels


def legend_handles(labels: Sequence[str]) -> list[Line2D]:
    """A line with the colour and the marker of each series."""
    return [
        Line2D([], [], color=color, marker=marker, linewidth=0.9, label=label)
        for label, (color, marker) in zip(labels, map(color_and_marker, range(len(labels))), strict=True)
    ]
