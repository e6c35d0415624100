"""Figure of the validation accuracy over the epochs at all noise levels (Walking Noise v1, figure 6)."""

from __future__ import annotations

import math
from itertools import zip_longest
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis import published_results
from analysis.figures.layout.families import NETWORKS, Family, families, run_count_sentence
from analysis.figures.layout.style import FAINT, INK, WIDTH, Plot, save_figure
from analysis.labels import level_axis_label
from analysis.midpoints.study import FittedSeries, Study

COLUMNS = 2

_COLORS = ListedColormap(matplotlib.colormaps["viridis"](np.linspace(0, 0.92, 256)))
_CAPTION = (
    "Lines: mean over the repetitions, one line per noise level; bands: ± one standard deviation; black: no noise. "
    "Dashed: chance accuracy (accuracy of a constant answer)."
)


def has_epochs(each: FittedSeries) -> bool:
    """Whether a series is trained with global noise and stores the accuracy of every epoch at some level > 0."""
    trained_with_noise = each.settings["noise.point"] == "global" and each.settings["noise.in_training"]
    used = each.series.used
    return bool(trained_with_noise and (used["validation_curve"].notna() & (used["level"] > 0)).any())


def draw(study: Study, folder: Path) -> list[Plot]:
    """A figure per data set, model and noise kind, with a panel per series under global noise."""
    return [_draw(family, folder) for family in families(filter(has_epochs, study.fitted_series), NETWORKS)]


def epochs_of(each: FittedSeries) -> pd.DataFrame:
    """Mean accuracy at each level and epoch, over the ``n`` repetitions that store it for that epoch.

    Columns: level, epoch (from 1), n, mean, and std (sample standard deviation; NaN for n = 1).
    """
    stored = each.series.used[each.series.used["validation_curve"].notna()]
    table = []
    for level, runs in stored.groupby("level"):
        curves = pd.DataFrame(zip_longest(*runs["validation_curve"], fillvalue=math.nan), dtype=float)
        table.append(pd.DataFrame({
            "level": level, "epoch": range(1, len(curves) + 1), "n": curves.count(axis=1), "mean": curves.mean(axis=1),
            "std": curves.std(axis=1),
        }))  # fmt: skip
    return pd.concat(table, ignore_index=True)


def _draw(family: Family[FittedSeries], folder: Path) -> Plot:
    count = len(family.members)
    columns, rows = min(COLUMNS, count), math.ceil(count / COLUMNS)
    figure = Figure(figsize=(WIDTH if columns > 1 else 0.7 * WIDTH, 2.8 * rows + 0.2))
    panels = list(figure.subplots(rows, columns, sharey=True, squeeze=False).flat)
    for unused in panels[count:]:
        unused.set_visible(False)
    tables = [epochs_of(each) for each in family.members]
    labels = family.labels()
    positive = pd.concat(tables)["level"].loc[lambda level: level > 0]
    ends = (positive.min(), positive.max()) if positive.nunique() > 1 else (positive.min() / 2, positive.max() * 2)
    colors = ScalarMappable(LogNorm(*ends), _COLORS)
    for axes, each, table, label in zip(panels[:count], family.members, tables, labels, strict=True):
        _draw_panel(axes, each, table, colors)
        axes.set_title(label)
    for axes in panels[::columns]:
        axes.set_ylabel("validation accuracy")
    axis = level_axis_label(family.members[0].settings)
    bar = figure.colorbar(colors, ax=panels[:count], label=axis, pad=0.02, aspect=30)
    bar.outline.set_visible(False)
    numbers = pd.concat([table.assign(series=label) for table, label in zip(tables, labels, strict=True)])
    numbers = numbers[["series", "level", "epoch", "n", "mean", "std"]]
    title = published_results.numbered_title(
        6, family.settings, f"{family.title}, at all points: accuracy over the epochs"
    )
    return save_figure(
        figure,
        numbers,
        folder,
        f"epochs-{family.slug}-global",
        title,
        f"{_CAPTION} {run_count_sentence(family.members)}",
    )


def _draw_panel(axes: Axes, each: FittedSeries, table: pd.DataFrame, colors: ScalarMappable) -> None:
    for level in np.unique(table["level"]):
        curve = table[table["level"] == level]
        color = colors.to_rgba(level) if level > 0 else INK
        axes.plot(curve["epoch"], curve["mean"], color=color, linewidth=1.0)
        low, high = curve["mean"] - curve["std"], curve["mean"] + curve["std"]
        axes.fill_between(curve["epoch"], low, high, color=color, alpha=0.2, linewidth=0)
    axes.axhline(each.series.chance_accuracy, color=FAINT, linestyle="--", linewidth=0.8, zorder=0)
    axes.set_ylim(0, 1.02)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
