"""Figure of the midpoint noise level at each noise point (Walking Noise v1, figures 2, 10 and 11)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from analysis import published_results
from analysis.figures.layout import residual_paths
from analysis.figures.layout.families import AXIS_OF_POINTS, Family, families, run_count_sentence
from analysis.figures.layout.panels import batch_norm_panels, legend_handles
from analysis.figures.layout.style import (
    INK,
    SMALLEST,
    Plot,
    color_and_marker,
    level_text,
    line_style,
    save_figure,
    scale_midpoints,
)
from analysis.intervals import Estimate
from analysis.labels import level_axis_label
from analysis.midpoints.study import FittedSeries, Study
from analysis.runs.noise_kinds import has_one_level

_DODGE = 0.16

_ARROWS = {"above": (0.91, "^", "≥", 1), "below": (0.09, "v", "≤", -1)}
"""Shape of a mark without a midpoint -> height of its arrow in the axes, marker, sign of its text, side of its text."""

EDGES = tuple(_ARROWS)

_CAPTION = (
    "Markers: μ, geometric mean over the repetitions; bars: its 95 % interval. Hollow: a midpoint with a flag other "
    "than those for few repetitions, coarse levels or the weighted fit (see the table of all series); also half of the "
    "curve's own fall, where it does not lose half of all. Arrows up (down): μ is at least (at most) the level that is "
    "written there, since a midpoint lies beyond the sampled levels."
)


@dataclass(frozen=True)
class Mark:
    """Mark of a series: ``filled`` or ``hollow`` at its midpoint; ``above``, ``below`` or ``none`` without one."""

    series: FittedSeries
    label: str
    shape: str

    @property
    def point(self) -> int:
        return int(self.series.settings["noise.point"])

    @property
    def at_sum(self) -> bool:
        return self.series.series.points[self.point].residual_from is not None

    @property
    def estimate(self) -> Estimate:
        """The midpoint; half of the curve's own fall if it does not lose half of all; otherwise a bound."""
        fit = self.series.fit
        return fit.mu_of_fall if not fit.mu.is_known and fit.mu_of_fall.is_known else fit.mu

    @property
    def has_midpoint(self) -> bool:
        return self.shape in ("filled", "hollow")


def draw(study: Study, folder: Path) -> list[Plot]:
    """Figure 2: LeNet-5 on CIFAR-10. A figure per noise kind, with panels without and with BatchNorm."""
    chosen = [each for each in _with_one_level(study) if published_results.in_figure(2, each.settings)]
    return draw_walks(chosen, AXIS_OF_POINTS, folder)


def draw_others(study: Study, folder: Path) -> list[Plot]:
    """Figures 10 and 11: other models, data sets and noise kinds."""
    chosen = [each for each in _with_one_level(study) if not published_results.in_figure(2, each.settings)]
    return draw_walks([each for each in chosen if not _has_sums(each)], AXIS_OF_POINTS, folder)


def draw_residual(study: Study, folder: Path) -> list[Plot]:
    """The same figures for networks with noise points at residual sums, whose paths are marked."""
    return draw_walks([each for each in _with_one_level(study) if _has_sums(each)], AXIS_OF_POINTS, folder)


def _has_sums(each: FittedSeries) -> bool:
    return bool(residual_paths.sums(each.series.points))


def _with_one_level(study: Study) -> list[FittedSeries]:
    return [each for each in study.fitted_series if has_one_level(each.settings)]


def draw_walks(fitted_series: Sequence[FittedSeries], within: Sequence[str], folder: Path) -> list[Plot]:
    """Draw the midpoints of series of walking noise. Series that differ only in ``within`` share a figure."""
    chosen = [each for each in fitted_series if isinstance(each.settings["noise.point"], int) and len(each.series.used)]
    drawable = [family for family in families(chosen, within) if any(_shape(each) != "none" for each in family.members)]
    return [_draw(family, folder) for family in drawable]


def _draw(family: Family[FittedSeries], folder: Path) -> Plot:
    settings = family.members[0].settings
    labels = family.labels(leave_out=["model.batch_norm", "noise.point"])
    order = sorted(set(labels), key=labels.index)
    marks = [Mark(each, label, _shape(each)) for each, label in zip(family.members, labels, strict=True)]
    points = {bool(each.settings["model.batch_norm"]): each.series.points for each in family.members}
    paths = residual_paths.path_handles(family.members[0].series.points)
    figure, panels = batch_norm_panels(points, 2.6, [*legend_handles(order), *paths])
    low, high = _limits(marks)
    for batch_norm, axes in panels.items():
        here = [mark for mark in marks if mark.series.settings["model.batch_norm"] == batch_norm]
        scale_midpoints(axes, low, high)
        residual_paths.draw_paths(axes, here[0].series.series.points, "x")
        shifts = {label: _DODGE * (number - (len(order) - 1) / 2) for number, label in enumerate(order)}
        for number, (label, shift) in enumerate(shifts.items()):
            _draw_series(axes, [mark for mark in here if mark.label == label], shift, number)
        colors = {label: color_and_marker(number)[0] for number, label in enumerate(order)}
        _write_bounds(axes, [(mark, shifts[mark.label], colors[mark.label]) for mark in here])
    figure.supylabel(f"midpoint noise level μ\n({level_axis_label(settings)})", fontsize=8)
    title = published_results.numbered_title(2, family.settings, f"{family.title}: midpoint noise level at each point")
    without_midpoint = sum(mark.shape == "none" for mark in marks)
    explained = f"{_CAPTION} {residual_paths.CAPTION}" if paths else _CAPTION
    caption = f"{explained} {run_count_sentence(family.members)}" + (
        f" Not drawn: {without_midpoint} series without a midpoint or bound." if without_midpoint else ""
    )
    return save_figure(figure, pd.DataFrame(map(_row, marks)), folder, f"points-{family.slug}", title, caption)


def _draw_series(axes: Axes, marks: Sequence[Mark], shift: float, number: int) -> None:
    color, marker = color_and_marker(number)
    line = [(mark.point + shift, mark.estimate.value if mark.has_midpoint else math.nan) for mark in marks]
    axes.plot(
        [x for x, _ in line],
        [mu for _, mu in line],
        color=color,
        linestyle=line_style(number),
        alpha=0.35,
        linewidth=0.9,
        zorder=1,
    )
    for shape, face in (("filled", color), ("hollow", "white")):
        here = [(mark.point + shift, mark.estimate) for mark in marks if mark.shape == shape]
        places, estimates = [place for place, _ in here], [estimate for _, estimate in here]
        low, high = [each.low for each in estimates], [each.high for each in estimates]
        axes.vlines(places, low, high, color=color, linewidth=1.0)
        middle = [each.value for each in estimates]
        axes.plot(places, middle, marker, color=color, markerfacecolor=face, markersize=4.6)
        sums = [(mark.point + shift, mark.estimate.value) for mark in marks if mark.shape == shape and mark.at_sum]
        inner = "white" if shape == "filled" else color
        for size, symbol, ink in ((7.5, marker, color), (4.5, "+", inner)):
            axes.plot(*np.array(sums).reshape(-1, 2).T, symbol, color=ink, markerfacecolor=face, markersize=size)
    for shape, (height, arrow, _, _) in _ARROWS.items():
        places = [mark.point + shift for mark in marks if mark.shape == shape]
        across = axes.get_xaxis_transform()
        axes.plot(
            places, [height] * len(places), arrow, color=color, markerfacecolor="white", markersize=5.5,
            transform=across,
        )  # fmt: skip


def _write_bounds(axes: Axes, marks: Sequence[tuple[Mark, float, str]]) -> None:
    """Write the level of each bound beside its arrow: once for the arrows of a point that have the same level.

    ``marks`` are given with their shift and colour. Different levels of a point are written above one another.
    """
    for shape, (height, _, sign, offset) in _ARROWS.items():
        lines: dict[int, dict[str, list[tuple[float, str]]]] = {}
        for mark, shift, color in marks:
            if mark.shape == shape:
                levels = lines.setdefault(mark.point, {})
                levels.setdefault(level_text(mark.estimate.value), []).append((mark.point + shift, color))
        for levels in lines.values():
            for line, (level, places) in enumerate(levels.items()):
                axes.annotate(
                    f"{sign} {level}", (sum(x for x, _ in places) / len(places), height),
                    (0, offset * (9 + SMALLEST * line)), xycoords=axes.get_xaxis_transform(),
                    textcoords="offset points", ha="center", va="center", fontsize=SMALLEST,
                    color=places[0][1] if len(places) == 1 else INK,
                )  # fmt: skip


def _limits(marks: Sequence[Mark]) -> tuple[float, float]:
    """Range of y: all midpoints, their intervals up to a decade beyond the midpoints, and space for arrows.

    Without a midpoint, the range is that of the sampled levels.
    """
    drawn = [mark.estimate for mark in marks if mark.has_midpoint]
    if drawn:
        middle = np.log10([each.value for each in drawn])
        finite = [end for each in drawn for end in (each.low, each.high) if math.isfinite(end)]
        ends = np.log10([each.value for each in drawn] + finite)
    else:
        beyond = [mark.series.fit for mark in marks if mark.shape in EDGES]
        middle = ends = np.log10([end for fit in beyond for end in (fit.lowest, fit.highest)])
    low, high = max(ends.min(), middle.min() - 1), min(ends.max(), middle.max() + 1)
    shapes = {mark.shape for mark in marks}
    above, below = (0.1 + (0.25 if shape in shapes else 0.05) * (high - low) for shape in EDGES)
    return float(10 ** (low - below)), float(10 ** (high + above))


def _shape(each: FittedSeries) -> str:
    if each.fit.mu.is_known:
        return "filled" if each.fit.is_sound else "hollow"
    if each.fit.mu_of_fall.is_known:
        return "hollow"
    return {"≥": "above", "≤": "below"}.get(each.fit.mu.bound, "none")


def _row(mark: Mark) -> dict[str, object]:
    fit, series, estimate = mark.series.fit, mark.series.series, mark.estimate
    return {
        "batch_norm": series.settings["model.batch_norm"], "series": mark.label, "point": series.point_name,
        "mu": estimate.value, "mu_bound": estimate.bound, "mu_low": estimate.low, "mu_high": estimate.high,
        "mu_interval": estimate.method, "of_own_fall": estimate is not fit.mu,
        "drawn_as": mark.shape, "lowest_level": fit.lowest, "highest_level": fit.highest,
        "used": len(series.used), "planned": len(series.runs), "flags": "; ".join(fit.flags),
    }  # fmt: skip
