"""Figure of a single trained network: the midpoint of every noise point, and the levels at 1 and 5 % loss."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from analysis.figures.layout.residual_paths import draw_paths, path_handles, sums


def draw_look(table: pd.DataFrame, file: Path, kind: str) -> Path:
    """Draw the table of :func:`analysis.midpoints.look` into a file, noise points from the input downwards."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullFormatter

    rows = range(len(table))
    figure = Figure(figsize=(6.5, 1.4 + 0.22 * len(table)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.hlines(rows, table["low"], table["high"], color="C0", linewidth=2)
    axes.plot(table["mu"], rows, "o", color="C0", label="midpoint μ, 95 % interval")
    points = table.attrs["points"]
    draw_paths(axes, points, "y")
    if at_sums := [point.number for point in sums(points)]:
        axes.plot(table["mu"].iloc[at_sums], at_sums, "P", color="C0", markersize=8, label="μ at a residual sum")
    axes.plot(table["loss_5"], rows, "|", color="C1", markersize=9, label="5 % loss")
    axes.plot(table["loss_1"], rows, "|", color="C3", markersize=9, label="1 % loss")
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_yticks(rows, table["point"])
    axes.set_ylim(len(table) - 0.4, -0.6)
    axes.set_xlabel(f"level of {kind} noise at inference")
    axes.grid(axis="x", alpha=0.3)
    entries = [*axes.get_legend_handles_labels()[0], *path_handles(points)]
    figure.legend(handles=entries, loc="outside upper center", ncols=3, frameon=False)
    figure.savefig(file, dpi=150)
    return file
