"""Figure of robustness curves with a plateau, fitted by two stacked logistics (Walking Noise v1, figure 7)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from analysis import published_results
from analysis.figures.layout.families import PANEL_PER_POINT, Family, families, run_count_sentence
from analysis.figures.layout.panels import panel_grid
from analysis.figures.layout.style import INK, Plot, color_and_marker, save_figure
from analysis.figures.robustness_curves import curve_table, draw_chance, draw_points, levels_of, scale_panels
from analysis.labels import differing_settings, format_estimate, format_with_error, level_axis_label
from analysis.midpoints.curves.stacked_logistics import LEAST_MISFIT, Shape
from analysis.midpoints.study import FittedSeries, Study
from analysis.tables.series_tables import setting_texts
from analysis.tables.table_files import Table, save_table, with_settings

COLUMNS = 3

_CAPTION = (
    "Two stacked logistics are chosen if no single fall, symmetric or not, follows the accuracies, and two separate "
    "steps do so better than by chance, given the scatter of the repetitions. Points: mean over the repetitions ± one "
    "standard deviation. Line: two stacked logistics; dotted: their midpoints; dashed: one logistic, the weighted "
    "fit of the paper; grey, dashed: chance accuracy."
)

_TABLE = (
    "μ: level at which half is lost in all, as in the rest of this report; μ₁ and μ₂: midpoints of two stacked "
    "logistics ± standard error; a_mid: plateau between them; misfit: largest distance of a mean accuracy from the "
    "best single fall, as a share of the fall. "
)

_NUMBERS = (
    "The CSV file contains, for every series of walking noise, the misfit and which shape is chosen. Two stacked "
    f"logistics are fitted only where the misfit is at least {LEAST_MISFIT}."
)


def draw(study: Study, folder: Path) -> Sequence[Plot | Table]:
    """Draw a figure per data set, model, BatchNorm and noise kind with plateaus, and write a table of all fits."""
    walking = [each for each in study.fitted_series if isinstance(each.settings["noise.point"], int) and each.shape]
    with_plateau = [each for each in walking if each.shape and each.shape.has_plateau]
    return [
        *(_draw(family, folder) for family in families(with_plateau, PANEL_PER_POINT)),
        *([_tabulate(walking, with_plateau, folder)] if walking else []),
    ]


def _draw(family: Family[FittedSeries], folder: Path) -> Plot:
    levels = levels_of(family.members)
    names = family.labels(leave_out=["noise.point"])
    titles = [f"{each.series.point_name}\n{name}" for each, name in zip(family.members, names, strict=True)]
    axis = level_axis_label(family.members[0].settings)
    figure, panels = panel_grid(
        titles, COLUMNS, 1.6, axis, "validation accuracy", _KEY, lambda axes: scale_panels(axes, levels, 5), narrow=0.6
    )
    for axes, each in zip(panels, family.members, strict=True):
        _draw_panel(axes, each, levels)
    title = published_results.numbered_title(7, family.settings, f"{family.title}: curves that fall in two steps")
    numbers = pd.concat([_curves(each, name) for each, name in zip(family.members, names, strict=True)])
    return save_figure(
        figure, numbers, folder, f"plateau-{family.slug}", title, f"{_CAPTION} {run_count_sentence(family.members)}"
    )


_KEY = (
    Line2D([], [], color=color_and_marker(0)[0], linewidth=1.3, label="two stacked logistics"),
    Line2D([], [], color=INK, linestyle="--", linewidth=0.9, label="one logistic"),
)


def _draw_panel(axes: Axes, each: FittedSeries, levels: Sequence[float]) -> None:
    shape, color = each.shape, color_and_marker(0)[0]
    assert shape is not None
    assert shape.two is not None
    fine = np.geomspace(each.fit.lowest, each.fit.highest, 400)
    axes.plot(fine, shape.one(np.log10(fine)), color=INK, linestyle="--", linewidth=0.9)
    axes.plot(fine, shape.two(np.log10(fine)), color=color)
    for mu in (shape.two.mu_1, shape.two.mu_2):
        axes.vlines(10**mu, 0, shape.two(np.array([mu]))[0], color=color, linestyle=":", linewidth=0.9)
    draw_chance(axes, each.series.chance_accuracy)
    draw_points(axes, each, levels, 0, size=2.8)


def _curves(each: FittedSeries, name: str) -> pd.DataFrame:
    """Drawn numbers and both fits, a row per level."""
    assert each.shape is not None
    return curve_table(each, name, one=each.shape.one, two=each.shape.two)


def _tabulate(walking: Sequence[FittedSeries], with_plateau: Sequence[FittedSeries], folder: Path) -> Table:
    numbers = with_settings((each.settings, _fits(each)) for each in walking)
    names = differing_settings([each.settings for each in with_plateau]) if with_plateau else []
    texts = setting_texts([each.series for each in with_plateau], names or ["noise.point"])
    for heading, text in _COLUMNS.items():
        texts[heading] = [text(each, each.shape) for each in with_plateau]
    chosen = f"Two stacked logistics are chosen for {len(with_plateau)} of {len(walking)} series with a fit."
    caption = f"{chosen} {_TABLE if with_plateau else ''}{_NUMBERS}"
    return save_table(numbers, texts, folder, "plateaus", "One or two stacked logistics", caption)


def _midpoint(mu: float, error: float) -> str:
    """Text of a midpoint on the log axis: its level with its standard error."""
    return format_with_error(10**mu, math.log(10) * 10**mu * error)


_COLUMNS: dict[str, Any] = {
    "μ": lambda each, shape: format_estimate(each.fit.mu),
    "μ₁": lambda each, shape: _midpoint(shape.two.mu_1, shape.two.errors[0]),
    "μ₂": lambda each, shape: _midpoint(shape.two.mu_2, shape.two.errors[1]),
    "a_max": lambda each, shape: f"{shape.two.a_max:.3f}",
    "a_mid": lambda each, shape: f"{shape.two.a_mid:.3f}",
    "a_min": lambda each, shape: f"{shape.two.a_min:.3f}",
    "misfit": lambda each, shape: f"{shape.misfit:.3f}",
}


def _fits(each: FittedSeries) -> dict[str, Any]:
    """Numbers of both fits of a series: midpoints as levels, sigmas in decades."""
    shape: Shape | None = each.shape
    assert shape is not None
    one, two = shape.one, shape.two
    row = {
        "point": each.series.point_name, "choice": "two" if shape.has_plateau else "one", "mu": 10**one.mu,
        "sigma": one.sigma, "a_min": one.a_min, "a_max": one.a_max, "misfit": shape.misfit, "p": shape.p,
        "levels_between": shape.levels_between,
    }  # fmt: skip
    if two is None:
        return row
    return row | {
        "mu_1": 10**two.mu_1, "mu_1_error": math.log(10) * 10**two.mu_1 * two.errors[0], "sigma_1": two.sigma_1,
        "mu_2": 10**two.mu_2, "mu_2_error": math.log(10) * 10**two.mu_2 * two.errors[1], "sigma_2": two.sigma_2,
        "two_a_min": two.a_min, "two_a_mid": two.a_mid, "two_a_max": two.a_max,
    }  # fmt: skip
