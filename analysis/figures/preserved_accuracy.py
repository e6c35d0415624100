"""Figures of the accuracy at maximum noise, per noise point (Walking Noise v1, figures 3, 5, 8 and 9)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis import labels, published_results
from analysis.figures.layout.families import AXIS_OF_POINTS, PRESERVED, Family, families
from analysis.figures.layout.panels import batch_norm_panels, legend_handles
from analysis.figures.layout.style import FAINT, INK, Plot, color_and_marker, save_figure
from analysis.intervals import Estimate
from analysis.labels import label, slug
from analysis.midpoints.maximum_noise import AccuracyAtMaximumNoise, accuracy_at_maximum_noise
from analysis.midpoints.study import Study

NUMBERS = {"mlp": 5, "lenet5": 8}
"""Model -> number of its figure of preserved relative accuracy. Other models, like CNN-S, have figure 9."""

Value = Callable[[AccuracyAtMaximumNoise], Estimate]
"""A function that returns a drawn estimate."""

_DODGE = 0.22
_RING = 6.4

_KEY = (
    Line2D(
        [], [], color=FAINT, marker="o", markerfacecolor="none", markersize=7, linewidth=0, label="a_min of the curve"
    ),
    Line2D([], [], color=INK, linewidth=0.8, label="without noise"),
)


def draw(study: Study, folder: Path) -> list[Plot]:
    """Figure 3: accuracy per point. A figure per data set, model and noise kind."""
    return [_draw_accuracy(family, folder) for family in families(accuracy_at_maximum_noise(study), AXIS_OF_POINTS)]


def draw_preserved(study: Study, folder: Path, *, number: int) -> list[Plot]:
    """Figure 5, 8 or 9: preserved relative accuracy per point. A figure per model and noise kind."""
    chosen = [
        member for member in accuracy_at_maximum_noise(study)
        if NUMBERS.get(member.settings["model.name"], 9) == number
        and member.settings["noise.in_training"] and len(member.reference)
    ]  # fmt: skip
    return [_draw_preserved(family, folder, number) for family in families(chosen, PRESERVED)]


def _draw_accuracy(family: Family[AccuracyAtMaximumNoise], folder: Path) -> Plot:
    labels = family.labels(leave_out=["model.batch_norm", "noise.point"])
    order = list(dict.fromkeys(labels))
    figure, panels = _panels(family, labels, [*legend_handles(order), *_KEY])
    for axes, here in panels:
        _draw_marks(axes, here, order, lambda member: member.accuracy)
        for member, name in here:
            _draw_a_min(axes, member, _position(member, name, order), order.index(name))
        _draw_reference(axes, [member for member, _ in here])
        axes.axhline(here[0][0].series.series.chance_accuracy, color=FAINT, linestyle="--", linewidth=0.8, zorder=0)
        axes.set_ylabel("validation accuracy")
    title = f"{family.title}: accuracy at maximum noise, at one point at a time"
    caption = (
        "Filled: mean accuracy at maximum noise; rings: accuracy a_min after the fall of the curve. Bars: 95 % t "
        "intervals over the repetitions. Line and band: mean accuracy without noise and its interval, for the first "
        "series with noise-free runs. Dashed: chance accuracy (accuracy of a constant answer). "
        f"{_run_counts(family.members, lambda member: member.accuracy)}"
    )
    name = f"maximum-{family.slug}"
    title = published_results.numbered_title(3, family.settings, title)
    return save_figure(figure, _numbers(family, labels), folder, name, title, caption)


def _draw_preserved(family: Family[AccuracyAtMaximumNoise], folder: Path, figure_number: int) -> Plot:
    settings = family.members[0].settings
    labels = _data_sets(family)
    order = list(dict.fromkeys(labels))
    figure, panels = _panels(family, labels, legend_handles(order))
    for axes, here in panels:
        _draw_marks(axes, here, order, lambda member: member.preserved)
        for member, name in here:
            chance = member.series.series.chance_accuracy / member.without_noise.value
            axes.axhline(chance, color=color_and_marker(order.index(name))[0], linestyle="--", linewidth=0.6, zorder=0)
        axes.axhline(1, color=FAINT, linewidth=0.8, zorder=0)
        axes.set_ylabel("preserved relative accuracy")
    model, kind = label(settings, ["model.name"]), label(settings, ["noise.kind"])
    rest = family.title.partition(kind)[2]
    title = f"{model}, {kind}{rest}: preserved relative accuracy at maximum noise"
    caption = (
        "Ratio of the mean accuracy at maximum noise at one point to the mean accuracy without noise; bars: its 95 % t "
        "interval, paired if both have exactly the same seeds. Dashed: chance accuracy (a "
        "constant answer). "
        f"{_run_counts(family.members, lambda member: member.preserved)}"
    )
    title = published_results.numbered_title(figure_number, family.settings, title)
    return save_figure(
        figure, _numbers(family, labels), folder, f"preserved-{slug(f'{model} {kind}{rest}')}", title, caption
    )


def _data_sets(family: Family[AccuracyAtMaximumNoise]) -> list[str]:
    """Label of each member: its data set, or all differing settings if a data set occurs twice at a point."""
    names = [label(member.settings, ["data.name"]) for member in family.members]
    keys = [
        (name, member.settings["model.batch_norm"], member.point)
        for name, member in zip(names, family.members, strict=True)
    ]
    return names if len(set(keys)) == len(keys) else family.labels(leave_out=["model.batch_norm", "noise.point"])


def _panels(
    family: Family[AccuracyAtMaximumNoise], labels: Sequence[str], legend: Sequence[Line2D]
) -> tuple[Figure, list[tuple[Axes, list[tuple[AccuracyAtMaximumNoise, str]]]]]:
    """A figure with its panels without and with BatchNorm, and the members of each panel with their labels."""
    points = {bool(each.settings["model.batch_norm"]): each.series.series.points for each in family.members}
    figure, by_batch_norm = batch_norm_panels(points, 2.3, legend)
    panels = []
    for batch_norm, axes in by_batch_norm.items():
        marks = zip(family.members, labels, strict=True)
        here = [mark for mark in marks if mark[0].settings["model.batch_norm"] == batch_norm]
        axes.set_ylim(0, 1.05)
        panels.append((axes, here))
    return figure, panels


def _draw_marks(
    axes: Axes,
    here: Sequence[tuple[AccuracyAtMaximumNoise, str]],
    order: Sequence[str],
    value: Value,
) -> None:
    for place, series_name in enumerate(order):
        color, marker = color_and_marker(place)
        marks = [(_position(member, name, order), value(member)) for member, name in here if name == series_name]
        x, y = [at for at, _ in marks], [estimate.value for _, estimate in marks]
        axes.plot(x, y, color=color, alpha=0.35, linewidth=0.9, zorder=1)
        axes.plot(x, y, marker, color=color, markersize=3.6)
        for at, estimate in marks:
            _draw_bar(axes, at, estimate, color, 1.0)


def _draw_a_min(axes: Axes, member: AccuracyAtMaximumNoise, place: float, order: int) -> None:
    color, marker = color_and_marker(order)
    a_min = member.series.fit.a_min
    axes.plot(place, a_min.value, marker, color=color, markerfacecolor="none", markeredgewidth=0.8, markersize=_RING)
    _draw_bar(axes, place, a_min, color, 0.6)


def _draw_bar(axes: Axes, x: float, estimate: Estimate, color: str, width: float) -> None:
    """Draw the interval of an estimate, if it has one."""
    axes.plot([x, x], [estimate.low, estimate.high], color=color, linewidth=width)


def _draw_reference(axes: Axes, here: Sequence[AccuracyAtMaximumNoise]) -> None:
    """Draw the accuracy without noise of the first series that has noise-free runs."""
    means = [member.without_noise for member in here if len(member.reference)]
    if means:
        axes.axhline(means[0].value, color=INK, linewidth=0.8, zorder=0)
        axes.axhspan(means[0].low, means[0].high, color=INK, alpha=0.15, linewidth=0, zorder=0)


def _position(member: AccuracyAtMaximumNoise, name: str, order: Sequence[str]) -> float:
    return member.point + _DODGE * (order.index(name) - (len(order) - 1) / 2)


def _run_counts(members: Sequence[AccuracyAtMaximumNoise], value: Value) -> str:
    """Sentences on the levels of the runs, their numbers, and the number of values without an interval."""
    levels = sorted({member.level for member in members})
    highest = " to ".join(labels.format_number(level) for level in dict.fromkeys((levels[0], levels[-1])))
    used, planned = sum(len(member.runs) for member in members), sum(member.planned for member in members)
    fewest, most = (choose(len(member.reference) for member in members) for choose in (min, max))
    reference = str(most) if fewest == most else f"{fewest} to {most}"
    single = sum(math.isnan(value(member).low) for member in members)
    lacking = f" Without an interval, one repetition: {single} of {len(members)} points." if single else ""
    overflowed = sum(member.overflown for member in members)
    overflow = f"; left out for float32 overflow at this or higher levels: {overflowed}" if overflowed else ""
    return (
        f"Maximum noise is the highest level with usable runs, {highest}. Runs used at maximum noise: {used} of "
        f"{planned}{overflow}; repetitions without noise: {reference}.{lacking}"
    )


def _numbers(family: Family[AccuracyAtMaximumNoise], labels: Sequence[str]) -> pd.DataFrame:
    return pd.DataFrame([_row(member, name) for member, name in zip(family.members, labels, strict=True)])


def _row(member: AccuracyAtMaximumNoise, name: str) -> dict[str, object]:
    estimates = {
        "accuracy": member.accuracy, "a_min": member.series.fit.a_min, "without_noise": member.without_noise,
        "preserved": member.preserved,
    }  # fmt: skip
    row: dict[str, object] = {
        "batch_norm": member.settings["model.batch_norm"], "series": name, "point": member.series.series.point_name,
        "level": member.level,
    }  # fmt: skip
    for column, each in estimates.items():
        row |= {column: each.value, f"{column}_low": each.low, f"{column}_high": each.high}
    return row | {
        "used": len(member.runs), "planned": member.planned, "without_noise_used": len(member.reference),
        "floor": member.series.series.chance_accuracy,
    }  # fmt: skip
