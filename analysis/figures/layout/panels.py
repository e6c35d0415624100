"""Panels of a figure in rows, and the legend of its series."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from textwrap import wrap
from typing import Any

from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import Transform

from analysis.figures.layout import residual_paths
from analysis.figures.layout.style import INK, WIDTH, color_and_marker, legend_columns, line_style
from walking_noise.models.point import Point

_LEFT, _RIGHT, _BOTTOM, _EDGE = 0.7, 0.15, 0.48, 0.05
"""Margins of a grid of panels, and distance of its labels from the edge, in inches."""

_ASIDE, _BELOW = 0.2, 0.12
"""Distance between panels that stand side by side, and below one another without the title, in inches."""

_TITLE, _LINE, _LETTER = 8, 0.15, 0.072
"""Size of a panel's title in points; height of a line of text and width of a letter, in inches."""

_GRID = 0.5
"""Order of the lines of a grid, which matplotlib gives those of an axis."""

_HEADING, _LEAST, _SMALL_LETTER, _SLOPE, _MOST_SLANTED = 0.24, 1.0, 0.058, 35, 32
"""Heights of the title of a panel above noise points and of the panel itself, at least, and width of a letter of their
names, in inches; slope of the names in degrees, up to this number of points; those of more stand upright."""


def panel_grid(
    titles: Sequence[str], columns: int, height: float, x: str, y: str, legend: Sequence[Line2D],
    scale: Callable[[Axes], object], narrow: float = 1.0,
) -> tuple[Figure, list[Axes]]:  # fmt: skip
    """A figure with a panel per title in rows of ``columns``. The panels share both axes.

    The layout is fixed, because a search for it takes longer than drawing the panels. Only the lowest panel of each
    column and the first of each row have ticks, which take most of the time of a panel; all have the lines of the grid.

    Parameters
    ----------
    height
        Height of a panel, in inches.
    x, y
        Labels of the axes.
    legend
        A line for each entry of the legend.
    scale
        Function that sets the ticks of both axes of the first panel, for all panels.
    narrow
        Width of a figure with a single column, as a share of the width of the text.
    """
    columns = min(columns, len(titles))
    width = WIDTH if columns > 1 else narrow * WIDTH
    panel_width = (width - _LEFT - _RIGHT - _ASIDE * (columns - 1)) / columns
    wrapped = [_wrapped(title, panel_width) for title in titles]
    titled = _LINE * max(title.count("\n") + 1 for title in wrapped)
    entries = [str(line.get_label()) for line in legend]
    in_row = legend_columns(entries, width)
    between = _BELOW + titled
    top = _EDGE + _LINE * math.ceil(len(entries) / in_row) + between
    rows = math.ceil(len(titles) / columns)
    total = top + rows * height + (rows - 1) * between + _BOTTOM
    figure = Figure(figsize=(width, total))
    figure.set_layout_engine("none")
    grid = figure.add_gridspec(
        rows, columns, left=_LEFT / width, right=1 - _RIGHT / width, bottom=_BOTTOM / total, top=1 - top / total,
        wspace=_ASIDE / panel_width, hspace=between / height,
    )  # fmt: skip
    panels: list[Axes] = []
    for place, title in enumerate(wrapped):
        first = panels[0] if panels else None
        axes = figure.add_subplot(grid[place // columns, place % columns], sharex=first, sharey=first)
        axes.set_title(title, fontsize=_TITLE, pad=3)
        if first is None:
            scale(axes)
        if place + columns < len(titles):
            grid_of_x = [[(tick, 0), (tick, 1)] for tick in axes.get_xticks()]
            _hide_ticks(axes, axes.xaxis, grid_of_x, axes.get_xaxis_transform())
        if place % columns:
            grid_of_y = [[(0, tick), (1, tick)] for tick in axes.get_yticks()]
            _hide_ticks(axes, axes.yaxis, grid_of_y, axes.get_yaxis_transform())
        panels.append(axes)
    middle = (_LEFT + width - _RIGHT) / 2 / width
    figure.supxlabel(x, x=middle, y=_EDGE / total, va="bottom", fontsize=8)
    figure.supylabel(y, x=_EDGE / width, y=(_BOTTOM + total - top) / 2 / total, ha="left", fontsize=8)
    figure.legend(
        handles=legend, loc="upper center", bbox_to_anchor=(0.5, 1 - _EDGE / total), borderaxespad=0, borderpad=0,
        ncols=in_row, labelcolor=INK,
    )  # fmt: skip
    return figure, panels


def _hide_ticks(axes: Axes, axis: Axis, grid: Sequence[Any], transform: Transform) -> None:
    """Hide an axis with its ticks, and draw the lines of its grid."""
    axis.set_visible(False)
    style = {"colors": rcParams["grid.color"], "linewidths": rcParams["grid.linewidth"]}
    axes.add_collection(LineCollection(grid, transform=transform, zorder=_GRID, **style), autolim=False)


def _wrapped(title: str, width: float) -> str:
    """A title in lines that fit into the width of a panel, in inches."""
    return "\n".join(part for line in title.splitlines() for part in wrap(line, int(width / _LETTER)))


def batch_norm_panels(
    points: Mapping[bool, Sequence[Point]], row_height: float, legend: Sequence[Line2D]
) -> tuple[Figure, dict[bool, Axes]]:
    """A figure with noise points along x, and a panel without and one with BatchNorm.

    Parameters
    ----------
    points
        Noise points of the networks without (False) and with BatchNorm (True), as far as they occur.
    row_height
        Height of a panel with its labels, in inches, unless the names of its points or the legend need more.
    legend
        A line for each entry of the legend.
    """
    longest = max(len(str(point)) for each in points.values() for point in each)
    slope = _SLOPE if max(map(len, points.values())) <= _MOST_SLANTED else 90
    names = _LINE + _SMALL_LETTER * longest * math.sin(math.radians(slope))
    heading = _HEADING + (residual_paths.TITLE / 72 if any(map(residual_paths.sums, points.values())) else 0)
    labels = [str(line.get_label()) for line in legend]
    in_row = legend_columns(labels)
    top, bottom = _EDGE + _LINE * math.ceil(len(labels) / in_row) + heading, 2 * _EDGE + _LINE + names
    around = top + bottom + (len(points) - 1) * (names + heading)
    total = max(row_height * len(points) + 0.6, around + _LEAST * len(points))
    height = (total - around) / len(points)
    figure = Figure(figsize=(WIDTH, total))
    figure.set_layout_engine("none")
    grid = figure.subplots(
        len(points), 1, squeeze=False,
        gridspec_kw={
            "left": _LEFT / WIDTH, "right": 1 - _EDGE / WIDTH, "bottom": bottom / total, "top": 1 - top / total,
            "hspace": (names + heading) / height,
        },
    )  # fmt: skip
    panels = dict(zip(sorted(points), grid.flat, strict=True))
    for batch_norm, axes in panels.items():
        axes.set_title("with BatchNorm" if batch_norm else "without BatchNorm")
        _label_points(axes, points[batch_norm], slope)
    figure.supxlabel("noise point", y=_EDGE / total, va="bottom", fontsize=8)
    figure.legend(
        handles=legend, loc="upper center", bbox_to_anchor=(0.5, 1 - _EDGE / total), borderaxespad=0, borderpad=0,
        ncols=in_row,
    )  # fmt: skip
    return figure, panels


def _label_points(axes: Axes, points: Sequence[Point], slope: int) -> None:
    """Make x an axis of noise points, labelled with their numbers and names."""
    turned: dict[str, Any] = {"rotation": slope, "va": "center" if slope == 90 else "top", "rotation_mode": "anchor"}
    axes.set_xticks(range(len(points)), list(map(str, points)), ha="right", **turned)
    axes.set_xlim(-0.6, len(points) - 0.4)
    axes.grid(axis="x", visible=False)


def legend_handles(labels: Sequence[str]) -> list[Line2D]:
    """A line with the colour and the marker of each series."""
    return [
        Line2D([], [], color=color, marker=marker, linestyle=line_style(number), linewidth=0.9, label=label)
        for number, label in enumerate(labels)
        for color, marker in [color_and_marker(number)]
    ]
