"""Accuracy and midpoint of networks trained with noise, for longer, from a teacher, and with its soft labels."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis.figures.layout.families import Family, families, run_count_sentence
from analysis.figures.layout.style import (
    WIDTH,
    Plot,
    color_and_marker,
    drawn_levels,
    legend_columns,
    save_figure,
    scale_levels,
)
from analysis.figures.training.training_levels import training_level
from analysis.intervals import Estimate
from analysis.labels import format_estimate, level_axis_label, slug
from analysis.midpoints.contrasts import mean_ratio
from analysis.midpoints.study import FittedSeries, Study
from analysis.runs.series import Settings
from analysis.tables.table_files import Table, save_table, with_settings

WITHIN = (
    "noise.in_training", "noise.training_std", "noise.training_redraw", "training.epochs",
    "distillation.soft_label_share", "distillation.temperature", "distillation.initialise",
)  # fmt: skip
"""Settings in which the series of a figure differ."""
CLEAN, NOISE, LONGER = "without noise", "with noise", "with noise, {epochs} epochs"
START, SOFT, BOTH = "from the teacher", "soft labels", "from the teacher, soft labels"
STEPS = ((NOISE, CLEAN), (LONGER, NOISE), (START, LONGER), (SOFT, NOISE), (BOTH, LONGER), (BOTH, NOISE), (BOTH, CLEAN))
"""Kinds of training whose midpoints are compared: the first with the second."""
QUANTILES = (0.05, 0.5, 0.95)
"""Quantiles over the draws of the noise, for example over chips."""


def make(study: Study, folder: Path) -> list[Plot | Table]:
    """A figure for each network, and a table of the ratios of midpoints."""
    chosen = [each for each in study.fitted_series if training_level(each.settings) is not None]
    found = [part for family in families(chosen, WITHIN) for part in comparable(family)]
    return [*(_draw(family, folder) for family in found), *([_table(found, folder)] if found else [])]


def comparable(family: Family[FittedSeries]) -> list[Family[FittedSeries]]:
    """The parts of a family with one kind of draws in training, one loss of students, and one number of epochs.

    A part has the networks trained without noise and without a teacher for these epochs, and those trained with noise
    for them or for twice as many; students are trained with noise. Other series are in no part.
    """
    students = [each for each in family.members if has_teacher(each.settings) and each.settings["noise.in_training"]]
    kinds = dict.fromkeys((_draws(each), each.settings["training.epochs"]) for each in students)
    losses = list(dict.fromkeys(loss for each in students if (loss := _loss(each))[0])) or [(0.0, 1.0)]
    parts = []
    for draws, epochs in kinds:
        for loss in losses:
            members = [each for each in family.members if _belongs(each, draws, epochs, loss)]
            several = f", {draws}, {epochs} epochs, share {loss[0]:g}, temperature {loss[1]:g}"
            more = several if len(kinds) * len(losses) > 1 else ""
            parts.append(replace(family, title=family.title + more, slug=slug(family.slug + more), members=members))
    return parts


def _draws(each: FittedSeries) -> str:
    return str(each.settings["noise.training_redraw"])


def _loss(each: FittedSeries) -> tuple[float, float]:
    return each.settings["distillation.soft_label_share"], each.settings["distillation.temperature"]


def _belongs(each: FittedSeries, draws: str, epochs: int, loss: tuple[float, float]) -> bool:
    """Whether a series is in the part with these draws in training, epochs and loss of students."""
    own = each.settings["training.epochs"]
    if not each.settings["noise.in_training"]:
        return own == epochs and not has_teacher(each.settings)
    if has_teacher(each.settings):
        return own == epochs and _draws(each) == draws and _loss(each) in (loss, (0.0, 1.0))
    return own in (epochs, 2 * epochs) and _draws(each) == draws


def has_teacher(settings: Settings) -> bool:
    """Whether networks learn from a teacher, or start at its weights."""
    return bool(settings["distillation.soft_label_share"] or settings["distillation.initialise"])


def kind_of_training(settings: Settings, epochs: int) -> str:
    """The kind of training of a series in a family whose shortest trainings have so many epochs."""
    if not settings["noise.in_training"]:
        return CLEAN
    if settings["distillation.soft_label_share"]:
        return BOTH if settings["distillation.initialise"] else SOFT
    if settings["distillation.initialise"]:
        return START
    return NOISE if settings["training.epochs"] == epochs else LONGER


def by_training(family: Family[FittedSeries]) -> dict[tuple[float, str], FittedSeries]:
    """The series of a family by level in training and kind of training."""
    epochs = min(settings["training.epochs"] for settings in family.settings)
    return {
        (training_level(each.settings) or 0.0, kind_of_training(each.settings, epochs)): each
        for each in family.members
    }  # fmt: skip


def ratios(series: dict[tuple[float, str], FittedSeries]) -> Iterator[tuple[float, str, str, Estimate, int]]:
    """For each level in training and each of :data:`STEPS`: the ratio of the midpoints, and the repetitions of both.

    The ratio is a geometric mean over the repetitions, with a t interval of its logarithm.
    """
    for level in sorted({level for level, _ in series if level}):
        for first, second in STEPS:
            one, other = series.get((level, first)), series.get((0.0 if second == CLEAN else level, second))
            if one is None or other is None:
                continue
            logs, others = one.fit.repetitions.logs, other.fit.repetitions.logs
            common = [name for name in logs if name in others]
            differences = pd.DataFrame({"mean": [logs[name] - others[name] for name in common]}, dtype=float)
            if not common:
                continue
            ratio, low, high = mean_ratio(differences).ratios().iloc[0]
            yield level, first, second, Estimate(ratio, low, high), len(common)


def log_midpoints(
    series: dict[tuple[float, str], FittedSeries], kind: str
) -> tuple[pd.Series[float], list[FittedSeries]]:
    """log10 of the midpoint of each repetition for a kind of training, and the series.

    With several levels in training it is that of the level that is best for the other repetitions: chosen and measured
    on the same runs, the best of several levels would look better than it is.
    """
    chosen = {level: each for (level, name), each in series.items() if name == kind}
    table = pd.DataFrame({level: pd.Series(each.fit.repetitions.logs) for level, each in chosen.items()}, dtype=float)
    table = table.dropna()
    if table.shape[1] > 1 and len(table) > 1:
        of_others = (table.sum() - table).to_numpy().argmax(1)
        return pd.Series(table.to_numpy()[range(len(table)), of_others], table.index), list(chosen.values())
    alone = table.iloc[:, 0] if table.shape[1] == 1 else pd.Series(dtype=float)
    return alone, list(chosen.values())


def quantiles(runs: pd.DataFrame) -> pd.DataFrame:
    """Columns ``level``, ``mean``, ``draws`` and the :data:`QUANTILES` over all draws of all repetitions."""
    rows: list[dict[str, Any]] = []
    for level, here in runs.groupby("level"):
        each = [
            one for drawn, mean in zip(here["draw_accuracies"], here["accuracy"], strict=True)
            for one in (drawn or [mean])
        ]  # fmt: skip
        found = dict(zip((f"quantile_{share:g}" for share in QUANTILES), np.quantile(each, QUANTILES), strict=True))
        rows.append({"level": level, "mean": here["accuracy"].mean(), "draws": len(each), **found})
    return pd.DataFrame(rows)


def _in_words(kind: str, epochs: Iterable[int]) -> str:
    return kind.format(epochs=max(epochs))


def _draw(family: Family[FittedSeries], folder: Path) -> Plot:
    series = by_training(family)
    epochs = [settings["training.epochs"] for settings in family.settings]
    trained = sorted({level for level, _ in series if level})
    kinds = [kind for kind in (CLEAN, NOISE, LONGER, START, SOFT, BOTH) if any(kind == other for _, other in series)]
    levels = sorted({level for each in family.members for level in each.series.used["level"]})
    places = dict(zip(levels, drawn_levels(levels), strict=True))
    columns = min(len(trained), 2)
    rows = -(-len(trained) // columns)
    figure = Figure(figsize=(WIDTH, 0.7 + 2.3 * rows))
    panels = figure.subplots(rows, columns, sharey=True, squeeze=False).flatten()
    for unused in panels[len(trained) :]:
        unused.remove()
    panels = panels[: len(trained)]
    tables: list[pd.DataFrame] = []
    for panel, level in zip(panels, trained, strict=True):
        for number, kind in enumerate(kinds):
            shown = series.get((0.0 if kind == CLEAN else level, kind))
            if shown is None or shown.series.used.empty:
                continue
            table, (color, marker) = quantiles(shown.series.used), color_and_marker(number)
            x = [places[one] for one in table["level"]]
            panel.plot(
                x, table["mean"], color=color, marker=marker, markersize=2.5, linewidth=0.9,
                label=_in_words(kind, epochs) if panel is panels[0] else None,
            )  # fmt: skip
            panel.plot(x, table[f"quantile_{QUANTILES[0]:g}"], color=color, linewidth=0.6, linestyle=":")
            table["training level"], table["training"] = level, _in_words(kind, epochs)
            tables.append(table)
        scale_levels(panel, levels, most_ticks=4)
        panel.set_title(f"trained at {level:g}")
        panel.set_xlabel("level at inference")
    for panel in panels[::columns]:
        panel.set_ylabel("validation accuracy")
    names = [_in_words(kind, epochs) for kind in kinds]
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=legend_columns(names))
    title = f"{family.title}: accuracy after training with noise, and with a teacher"
    caption = (
        f"Level: {level_axis_label(family.settings[0])}. Mean over repetitions and draws; dotted: the 5 % quantile "
        "over the draws, chips if noise is drawn for each of them. "
        f"{run_count_sentence(family.members)}"
    )
    return save_figure(figure, pd.concat(tables), folder, f"distillation-{family.slug}", title, caption)


def _table(found: Sequence[Family[FittedSeries]], folder: Path) -> Table:
    rows, texts = [], []
    for family in found:
        epochs = [settings["training.epochs"] for settings in family.settings]
        for level, first, second, estimate, repetitions in ratios(by_training(family)):
            first, second = _in_words(first, epochs), _in_words(second, epochs)
            numbers = {
                "training_level": level, "training": first, "compared_with": second, "ratio": estimate.value,
                "low": estimate.low, "high": estimate.high, "repetitions": repetitions,
            }  # fmt: skip
            rows.append((family.settings[0], numbers))
            texts.append({
                "networks": family.title, "level in training": f"{level:g}", "training": first,
                "compared with": second, "ratio of the midpoints": format_estimate(estimate)
                if not math.isnan(estimate.low) else f"{format_estimate(estimate)} (no interval)",
            })  # fmt: skip
    caption = (
        "Ratio of the tolerated noise: the midpoint of the first kind of training, divided by that of the second; "
        "geometric mean over the repetitions, and 95 % t interval. Each interval holds for one ratio."
    )
    name = "distillation-ratios"
    return save_table(with_settings(rows), pd.DataFrame(texts), folder, name, "Noise tolerated with a teacher", caption)
