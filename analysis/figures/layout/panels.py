"""Panels of a figure in rows, and the legend of its series."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from textwrap import wrap

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.figures.layout.families import HasSettings
from analysis.figures.layout.style import INK, WIDTH, color_and_marker, legend_columns, line_style

_LEFT, _RIGHT, _BOTTOM, _EDGE = 0.7, 0.15, 0.48, 0.05
"""Margins of a grid of panels, and distance of its labels from the edge, in inches."""

_ASIDE, _BELOW = 0.2, 0.12
"""Distance between panels that stand side by side, and below one another without the title, in inches."""

_TITLE, _LINE, _LETTER = 8, 0.15, 0.072
"""Size of a panel's title in points; height of a line of text and width of a letter, in inches."""


def panel_grid(
    titles: Sequence[str], columns: int, height: float, x: str, y: str, legend: Sequence[Line2D], narrow: float = 1.0
) -> tuple[Figure, list[Axes]]:
    """A figure with a panel per title in rows of ``columns``. The panels share both axes.

    The layout is fixed, because a search for it takes longer than drawing the panels. Only the lowest panel of each
    column and the first of each row have labelled ticks.

    Parameters
    ----------
    height
        Height of a panel, in inches.
    x, y
        Labels of the axes.
    legend
        A line for each entry of the legend.
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
        axes.tick_params(labelbottom=place + columns >= len(titles), labelleft=place % columns == 0)
        panels.append(axes)
    middle = (_LEFT + width - _RIGHT) / 2 / width
    figure.supxlabel(x, x=middle, y=_EDGE / total, va="bottom", fontsize=8)
    figure.supylabel(y, x=_EDGE / width, y=(_BOTTOM + total - top) / 2 / total, ha="left", fontsize=8)
    figure.legend(
        handles=legend, loc="upper center", bbox_to_anchor=(0.5, 1 - _EDGE / total), borderaxespad=0, borderpad=0,
        ncols=in_row, labelcolor=INK,
    )  # fmt: skip
    return figure, panels


def _wrapped(title: str, width: float) -> str:
    """A title in lines that fit into the width of a panel, in inches."""
    return "\n".join(part for line in title.splitlines() for part in wrap(line, int(width / _LETTER)))


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
        Line2D([], [], color=color, marker=marker, linestyle=line_style(number), linewidth=0.9, label=label)
        for number, label in enumerate(labels)
        for color, marker in [color_and_marker(number)]
    ]
