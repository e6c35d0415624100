"""Accuracy over the level at inference for networks trained at different levels, and the best level in training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.layout.families import Family, families, run_count_sentence
from analysis.figures.layout.scales import Scale
from analysis.figures.layout.style import (
    FAINT,
    INK,
    WIDTH,
    Plot,
    color_and_marker,
    drawn_levels,
    legend_columns,
    save_figure,
    scale_levels,
)
from analysis.intervals import Estimate, mean_accuracy
from analysis.labels import format_estimate, level_axis_label
from analysis.midpoints.study import FittedSeries, Study
from analysis.runs.series import Settings
from analysis.tables.table_files import Table, save_table, with_settings

WITHIN = ("noise.training_std", "noise.in_training", "noise.training_redraw")
"""Settings in which the series of a figure differ."""

Best = tuple[float, list[float], Estimate]
"""Level at inference, the chosen levels in training, and the accuracy."""


def make(study: Study, folder: Path) -> list[Plot | Table]:
    """A figure for each network and kind of noise, and a table of the best levels in training."""
    chosen = [each for each in study.fitted_series if training_level(each.settings) is not None]
    found = [family for family in families(chosen, WITHIN) if len(_levels(family)) > 1]
    tables = [_table(found, folder)] if found else []
    return [*(_draw(family, folder) for family in found), *tables]


def training_level(settings: Settings) -> float | None:
    """The level in training of networks that are evaluated once; None for others.

    The accuracy of runs without a level of their own is a mean over epochs, so that they cannot be compared.
    """
    if not settings["noise.in_training"]:
        return 0.0
    level = settings["noise.training_std"]
    return None if level is None or isinstance(level, tuple) else float(level)


def accuracies(family: Family[FittedSeries]) -> pd.DataFrame:
    """Columns ``training level``, ``level``, ``repetition`` and ``accuracy`` of the runs of a family.

    Runs without any noise are left out: their accuracy is a mean over epochs.
    """
    parts = [
        each.series.used[["level", "repetition", "accuracy"]].assign(
            **{"training level": training_level(each.settings)}
        )
        for each in family.members
    ]
    runs = pd.concat(parts, ignore_index=True)
    return runs[(runs["training level"] > 0) | (runs["level"] > 0)]


def best_levels(runs: pd.DataFrame) -> list[Best]:
    """The best level in training for each level at inference, with the accuracy that it gives.

    For each repetition the level is the best one of the other repetitions, and its accuracy is that of the repetition
    itself: chosen and measured on the same runs, the best of several levels would look better than it is.
    """
    found = []
    for _, here in runs.groupby("level"):
        table = here.pivot_table(index="repetition", columns="training level", values="accuracy").dropna()
        if len(table) < 2 or table.shape[1] < 2:
            continue
        accuracy, trained = table.to_numpy(float), table.columns.to_numpy(float)
        of_others = (accuracy.sum(0) - accuracy).argmax(1)
        values = accuracy[np.arange(len(accuracy)), of_others]
        found.append((float(here["level"].iloc[0]), trained[of_others].tolist(), mean_accuracy(values.tolist())))
    return found


def _levels(family: Family[FittedSeries]) -> list[float]:
    return sorted({training_level(each.settings) or 0.0 for each in family.members})


def _draw(family: Family[FittedSeries], folder: Path) -> Plot:
    runs = accuracies(family)
    means = runs.groupby(["training level", "level"], as_index=False)["accuracy"].agg(["mean", "std", "count"])
    levels = sorted(runs["level"].unique())
    places = dict(zip(levels, drawn_levels(levels), strict=True))
    figure = Figure(figsize=(WIDTH, 3.0))
    curves, field = figure.subplots(1, 2, width_ratios=(1.25, 1))
    for number, (trained, line) in enumerate(means.groupby("training level")):
        color, marker = color_and_marker(number)
        curves.errorbar(
            [places[level] for level in line["level"]],
            line["mean"], line["std"].fillna(0.0), color=color, marker=marker, markersize=3, linewidth=0.9,
            elinewidth=0.6, label="without noise" if trained == 0 else f"{trained:g}",
        )  # fmt: skip
    scale_levels(curves, levels)
    curves.set_xlabel(f"{level_axis_label(family.settings[0])} at inference")
    curves.set_ylabel("validation accuracy")
    names = [text.get_label() for text in curves.containers]
    figure.legend(
        *curves.get_legend_handles_labels(), title="level in training", loc="outside lower center",
        ncols=legend_columns([str(name) for name in names]),
    )  # fmt: skip
    mesh = _map(field, means)
    figure.colorbar(mesh, ax=field, label="validation accuracy", pad=0.02, aspect=25).outline.set_visible(False)
    title = f"{family.title}: accuracy of networks trained at different levels"
    caption = (
        "Left: mean over the repetitions, bars: ± one standard deviation. Right: the same means; dots: the best level "
        f"in training for each level at inference. {run_count_sentence(family.members)}"
    )
    return save_figure(figure, means, folder, f"training-levels-{family.slug}", title, caption)


def _map(axes: Axes, means: pd.DataFrame) -> matplotlib.collections.QuadMesh:
    grid = means.pivot_table(index="training level", columns="level", values="mean")
    x, y = (Scale.of_levels(values.to_numpy(float)) for values in (grid.columns, grid.index))
    mesh = axes.pcolormesh(x.edges, y.edges, np.ma.masked_invalid(grid.to_numpy(float)), cmap="viridis")
    best = grid.idxmax()
    axes.plot(x.positions(best.index), y.positions(best), ".", color="white", markersize=5, markeredgecolor=INK)
    axes.set_facecolor(FAINT)
    x.label(axes.xaxis, most=4)
    y.label(axes.yaxis)
    axes.set_xlabel("level at inference")
    axes.set_ylabel("level in training")
    axes.grid(visible=False)
    return mesh


def _table(found: Sequence[Family[FittedSeries]], folder: Path) -> Table:
    rows, texts = [], []
    for family in found:
        runs = accuracies(family)
        for level, chosen, accuracy in best_levels(runs):
            clean = runs[(runs["level"] == level) & (runs["training level"] == 0)]["accuracy"]
            numbers = {
                "level": level, "best_training_levels": " ".join(f"{one:g}" for one in sorted(set(chosen))),
                "accuracy": accuracy.value, "low": accuracy.low, "high": accuracy.high, "repetitions": len(chosen),
                "accuracy_trained_without_noise": clean.mean() if len(clean) else math.nan,
            }  # fmt: skip
            rows.append((family.settings[0], numbers))
            texts.append({
                "networks": family.title, "level at inference": f"{level:g}",
                "best level in training": numbers["best_training_levels"], "accuracy": format_estimate(accuracy),
                "trained without noise": f"{clean.mean():.3f}" if len(clean) else "–",
            })  # fmt: skip
    caption = (
        "Best level in training for each level at inference: chosen, for each repetition, by the mean accuracy of the "
        "other repetitions; several levels: they differ between repetitions. Accuracy: of the repetition itself, mean "
        "and 95 % t interval."
    )
    name = "training-levels-best"
    return save_table(with_settings(rows), pd.DataFrame(texts), folder, name, "Best level in training", caption)
