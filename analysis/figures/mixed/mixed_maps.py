"""Maps of the accuracy under mixed noise over both levels, for both orders, and their difference (for v2's grids)."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import Colormap, ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from analysis.figures.layout.families import MIXED_MAPS, families
from analysis.figures.layout.scales import Scale
from analysis.figures.layout.style import FAINT, INK, WIDTH, Plot, save_figure
from analysis.figures.mixed.mixed_sweeps import ORDERS, OUR_READING, Sweep, sweeps
from analysis.labels import label, slug
from analysis.midpoints.study import Study

LEAST = 6
"""Smallest number of values along each axis of a map.

A map also needs runs at half of the pairs of values. Other sweeps are drawn as curves.
"""

STANDARD_ERRORS = 2.0
"""A difference between the orders is marked if it exceeds this number of standard errors."""

AXES = {
    "noise.std_mul": "multiplicative level", "noise.std_add": "additive level", "noise.amplitude": "amplitude A",
    "noise.ratio": "mixing ratio r",
}  # fmt: skip

_ACCURACY = ListedColormap(matplotlib.colormaps["viridis"](np.linspace(0, 1, 256)))
_DIFFERENCE = matplotlib.colormaps["PuOr"]


def draw(study: Study, folder: Path) -> list[Plot]:
    """A figure with three panels per sweep of both levels, or of amplitude and ratio."""
    chosen = families(filter(_is_map, sweeps(study)), MIXED_MAPS)
    return [_draw(sweep, family.title, folder) for family in chosen for sweep in family.members]


def between_orders(cells: pd.DataFrame) -> pd.DataFrame:
    """Difference of the orders, add first minus multiply first, where both have runs.

    Columns: ``x``, ``y``, ``difference`` of the mean accuracies, and its standard error ``error`` (NaN where an order
    has one run).
    """
    first, second = (cells[(cells["order"] == order) & (cells["n"] > 0)] for order in ORDERS)
    both = first.merge(second, on=["x", "y"], suffixes=("_1", "_2"))
    both["difference"] = both["mean_2"] - both["mean_1"]
    both["error"] = np.sqrt(both["std_1"] ** 2 / both["n_1"] + both["std_2"] ** 2 / both["n_2"])
    return both[["x", "y", "difference", "error"]]


def _is_map(sweep: Sweep) -> bool:
    used = sweep.cells[sweep.cells["n"] > 0]
    columns, lines = used["x"].nunique(), used["y"].nunique()
    filled = len(used[["x", "y"]].drop_duplicates())
    return min(columns, lines) >= LEAST and 2 * filled >= columns * lines


def _draw(sweep: Sweep, family: str, folder: Path) -> Plot:
    point = sweep.settings["noise.point"]
    place = f"point {point} ({sweep.points[point].name})" if isinstance(point, int) else "all points"
    text = f"{family}, {label(sweep.settings, ['model.batch_norm'])}, {place}"
    cells, differences = sweep.cells, between_orders(sweep.cells)
    scales = [
        Scale.of_ratios(cells[at]) if name == "noise.ratio" else Scale.of_levels(cells[at])
        for name, at in zip(sweep.axes, "xy", strict=True)
    ]
    figure = Figure(figsize=(WIDTH, 2.7))
    panels = figure.subplots(1, 3, sharex=True, sharey=True)
    top = float(np.nanmax(cells["mean"]))
    meshes = []
    for axes, order in zip(panels, ORDERS, strict=False):
        of_order = cells[cells["order"] == order].rename(columns={"mean": "value"})
        meshes.append(_mesh(axes, of_order, scales, _ACCURACY, (float(cells["floor"].min()), top)))
        axes.set_title(order.replace("_", " "))
        overflowed = of_order[(of_order["n"] == 0) & (of_order["overflow"] > 0)]
        axes.plot(
            scales[0].positions(overflowed["x"]), scales[1].positions(overflowed["y"]), "x", color=INK, markersize=2.5
        )
    widest = max(float(differences["difference"].abs().max()), 0.01) if len(differences) else 0.01
    change = _mesh(
        panels[2], differences.rename(columns={"difference": "value"}), scales, _DIFFERENCE, (-widest, widest)
    )
    panels[2].set_title("add first − multiply first")
    clear = differences[differences["difference"].abs() > STANDARD_ERRORS * differences["error"]]
    panels[2].plot(scales[0].positions(clear["x"]), scales[1].positions(clear["y"]), ".", color=INK, markersize=1.4)
    for axes in panels:
        axes.set_xlabel(AXES[sweep.axes[0]])
    panels[0].set_ylabel(AXES[sweep.axes[1]])
    figure.colorbar(meshes[0], ax=panels[:2], label="validation accuracy", pad=0.02, aspect=25).outline.set_visible(
        False
    )
    figure.colorbar(change, ax=panels[2], label="difference", pad=0.04, aspect=25).outline.set_visible(False)
    numbers = cells.merge(differences, on=["x", "y"], how="left").rename(
        columns=dict(zip("xy", sweep.axes, strict=True))
    )
    kind = slug(" ".join(AXES[name].split()[0] for name in sweep.axes))
    title = f"{text}: accuracy over {' and '.join(AXES[name] for name in sweep.axes)}"
    return save_figure(figure, numbers, folder, f"mixed-map-{kind}-{slug(text)}", title, _caption(cells))


def _mesh(
    axes: Axes, table: pd.DataFrame, scales: list[Scale], colors: Colormap, ends: tuple[float, float]
) -> QuadMesh:
    """Draw the column ``value`` over ``x`` and ``y``. Cells without a value show the hatched background."""
    x, y = scales
    grid = table.pivot(index="y", columns="x", values="value").reindex(index=list(y.values), columns=list(x.values))
    corner, size = (x.edges[0], y.edges[0]), (x.edges[-1] - x.edges[0], y.edges[-1] - y.edges[0])
    axes.add_patch(Rectangle(corner, *size, facecolor="white", edgecolor=FAINT, hatch="////", linewidth=0, zorder=0))
    values = np.ma.masked_invalid(grid.to_numpy(float))
    mesh = axes.pcolormesh(
        x.edges, y.edges, values, cmap=colors, vmin=ends[0], vmax=ends[1], zorder=1, edgecolors="face", linewidth=0.2
    )
    x.label(axes.xaxis, most=4)
    y.label(axes.yaxis)
    axes.set_xlim(x.edges[0], x.edges[-1])
    axes.set_ylim(y.edges[0], y.edges[-1])
    axes.grid(visible=False)
    return mesh


def _caption(cells: pd.DataFrame) -> str:
    total = cells[["n", "planned", "overflow"]].sum()
    spread = cells["std"].dropna()
    spreads = (
        f"Standard deviation over the repetitions: median {spread.median():.3f}, largest {spread.max():.3f}."
        if len(spread)
        else "One repetition: no standard deviation."
    )
    left_out = f", left out for float32 overflow: {total['overflow']:.0f}" if total["overflow"] else ""
    return (
        f"{OUR_READING} Colour: mean accuracy over the repetitions. {spreads} Dots: the orders differ by more than "
        f"{STANDARD_ERRORS:g} standard errors. Hatched: no runs; ×: float32 overflow in all runs. "
        f"Runs used: {total['n']:.0f} of {total['planned']:.0f}{left_out}."
    )
