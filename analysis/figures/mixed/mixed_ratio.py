"""Figure of the preserved relative accuracy at maximum mixed noise over the mixing ratio (for v2's grids)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from analysis.figures.layout.error_bars import draw_bars
from analysis.figures.layout.families import MIXED_RATIOS, Family, families
from analysis.figures.layout.panels import legend_handles, panel_grid
from analysis.figures.layout.scales import Scale
from analysis.figures.layout.style import FAINT, Plot, color_and_marker, save_figure
from analysis.figures.mixed.mixed_sweeps import AMPLITUDE_AND_RATIO, ORDERS, OUR_READING, Sweep, sweeps
from analysis.labels import format_number
from analysis.midpoints.maximum_noise import is_maximum
from analysis.midpoints.study import Study
from analysis.runs.noise_free import noise_free_runs

LEAST = 3
"""Smallest number of ratios in a figure."""

COLUMNS = 4

_MOST_TICKS = 4
_SIZES = ((4.4, 1.8), (2.4, 0.8))
"""Size of the markers and width of the line of each order: where both agree, both are visible."""


def draw(study: Study, folder: Path) -> list[Plot]:
    """A figure per data set and model, with a panel per noise point."""
    drawn = []
    for family in families(filter(_is_extreme, sweeps(study)), MIXED_RATIOS):
        table = pd.concat([_preserved(study, sweep) for sweep in family.members], ignore_index=True)
        if table["ratio"].nunique() >= LEAST:
            drawn.append(_draw(family, table, folder))
    return drawn


def _is_extreme(sweep: Sweep) -> bool:
    cells = sweep.cells
    return sweep.axes == AMPLITUDE_AND_RATIO and bool(is_maximum(cells["x"][cells["n"] > 0]).any())


def _preserved(study: Study, sweep: Sweep) -> pd.DataFrame:
    """Accuracy at the highest amplitude relative to the accuracy without noise: a row per order and ratio.

    ``std`` is the standard deviation over the repetitions. It includes that of the reference if the reference has
    several runs. The table is empty without noise-free runs.
    """
    cells = sweep.cells[sweep.cells["x"] == sweep.cells["x"][sweep.cells["n"] > 0].max()]
    without = noise_free_runs(study.runs, sweep.settings)["accuracy"]
    if without.empty:
        return pd.DataFrame(columns=["ratio"])
    mean, spread = without.mean(), without.std() if len(without) > 1 else 0.0
    point = sweep.settings["noise.point"]
    table: pd.DataFrame = cells.rename(columns={"x": "amplitude", "y": "ratio"}).assign(
        point=point, preserved=cells["mean"] / mean, chance=cells["floor"] / mean, noise_free=mean,
        noise_free_runs=len(without), std=np.hypot(cells["std"], cells["mean"] / mean * spread) / mean,
    )  # fmt: skip
    return table


def _draw(family: Family[Sweep], table: pd.DataFrame, folder: Path) -> Plot:
    names = _point_names(family.members)
    without_noise = Line2D([], [], color=FAINT, linewidth=0.8, label="without noise")
    handles = [*legend_handles([name.replace("_", " ") for name in ORDERS]), without_noise]
    scale = Scale.of_ratios(table["ratio"])

    def set_axes(axes: Axes) -> None:
        scale.label(axes.xaxis, _MOST_TICKS)
        axes.set_ylim(0, 1.08)

    figure, panels = panel_grid(
        list(names.values()), COLUMNS, 1.2, "mixing ratio r (0: multiplicative, 1: additive noise)",
        "preserved relative accuracy", handles, set_axes,
    )  # fmt: skip
    for axes, point in zip(panels, names, strict=True):
        _draw_panel(axes, table[table["point"] == point], scale)
    title = f"{family.title}: preserved accuracy at maximum mixed noise"
    caption = (
        f"{OUR_READING} Amplitude {format_number(table['amplitude'].max())}. Accuracy relative to "
        f"{_reference_text(table)} without noise. Bars: ± one standard deviation over the "
        f"repetitions{_included(table)}. Dashed: chance accuracy (accuracy of a constant answer). "
        f"Runs used: {table['n'].sum()} of {table['planned'].sum()}{_overflow_text(table)}."
    )
    return save_figure(figure, table, folder, f"mixed-ratio-{family.slug}", title, caption)


def _point_names(members: Sequence[Sweep]) -> dict[int | str, str]:
    """Panels: every point of the model if there is walking noise, and all points together if there is global noise."""
    points = {sweep.settings["noise.point"] for sweep in members}
    points_of_model = members[0].points if points - {"global"} else ()
    names: dict[int | str, str] = {point.number: str(point) for point in points_of_model}
    return names | ({"global": "all points"} if "global" in points else {})


def _draw_panel(axes: Axes, here: pd.DataFrame, scale: Scale) -> None:
    for order, name in enumerate(ORDERS):
        curve = here[(here["order"] == name) & (here["n"] > 0)].sort_values("ratio")
        color, marker = color_and_marker(order)
        x, mean = scale.positions(curve["ratio"]), curve["preserved"].to_numpy(float)
        size, width = _SIZES[order]
        axes.plot(x, mean, f"{marker}-", color=color, markersize=size, markeredgewidth=0, linewidth=width)
        draw_bars(axes, x, mean - curve["std"], mean + curve["std"], order)
    axes.axhline(1, color=FAINT, linewidth=0.8, zorder=0)
    if here.empty:
        axes.text(0.5, 0.5, "no runs", transform=axes.transAxes, ha="center", color=FAINT)
    else:
        axes.axhline(here["chance"].mean(), color=FAINT, linestyle="--", linewidth=0.8, zorder=0)
    axes.tick_params(axis="x", labelsize=6.5)


def _overflow_text(table: pd.DataFrame) -> str:
    return f"; left out for float32 overflow: {table['overflow'].sum()}" if table["overflow"].any() else ""


def _included(table: pd.DataFrame) -> str:
    return ", including that of the reference" if table["noise_free_runs"].min() > 1 else ""


def _reference_text(table: pd.DataFrame) -> str:
    runs = int(table["noise_free_runs"].max())
    return f"the {runs} run{'s' * (runs > 1)}"
