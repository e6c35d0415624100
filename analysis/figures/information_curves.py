"""Information of the answers over the noise level: I(Y; Ŷ) of networks of different depth, and its interval."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

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
from analysis.information import mean_information
from analysis.labels import label, level_axis_label
from analysis.midpoints.study import FittedSeries, Study
from analysis.runs.series import Settings

WITHIN = ("model.hidden", "noise.in_training")
"""Settings in which the series of a figure differ."""


def draw(study: Study, folder: Path) -> list[Plot]:
    """A figure for each network, with a panel for each kind of training and a line for each depth."""
    chosen = [each for each in study.fitted_series if each.series.used["confusion"].notna().any()]
    return [_draw(family, folder) for family in families(chosen, WITHIN)]


def information_by_level(series: FittedSeries) -> pd.DataFrame:
    """Columns ``level``, ``information``, ``low``, ``high`` in bits, ``accuracy`` and ``n``, the repetitions.

    The information is a mean over the repetitions; its interval is over the validation samples of these networks.
    """
    used = series.series.used
    rows: list[dict[str, Any]] = []
    for level, here in used[used["confusion"].notna()].groupby("level"):
        found = mean_information(list(here["confusion"]))
        numbers = {"information": found.value, "low": found.low, "high": found.high}
        rows.append({"level": level, **numbers, "accuracy": here["accuracy"].mean(), "n": len(here)})
    return pd.DataFrame(rows)


def _draw(family: Family[FittedSeries], folder: Path) -> Plot:
    by_training: dict[bool, list[FittedSeries]] = {}
    for each in family.members:
        by_training.setdefault(bool(each.settings["noise.in_training"]), []).append(each)
    levels = sorted({level for each in family.members for level in each.series.used["level"]})
    places = dict(zip(levels, drawn_levels(levels), strict=True))
    figure = Figure(figsize=(WIDTH, 2.8))
    panels = figure.subplots(1, len(by_training), sharey=True, squeeze=False)[0]
    shapes = sorted({_shape(each.settings) for each in family.members}, key=lambda shape: (len(shape), shape))
    tables: list[pd.DataFrame] = []
    for panel, (trained, members) in zip(panels, sorted(by_training.items(), reverse=True), strict=True):
        for each in members:
            table, (color, marker) = information_by_level(each), color_and_marker(shapes.index(_shape(each.settings)))
            x = [places[level] for level in table["level"]]
            panel.plot(x, table["information"], color=color, marker=marker, markersize=2.5, linewidth=0.9,
                       label=_in_words(each.settings))  # fmt: skip
            panel.fill_between(x, table["low"], table["high"], color=color, alpha=0.2, linewidth=0)
            table["trained with noise"], table["network"] = trained, _in_words(each.settings)
            tables.append(table)
        scale_levels(panel, levels, most_ticks=5)
        panel.set_xlabel("level")
        panel.set_title("trained with noise" if trained else "noise at inference only")
    panels[0].set_ylabel("information of the answers, bits")
    panels[0].set_ylim(0, None)
    named = dict(zip(*reversed(panels[0].get_legend_handles_labels()), strict=True))
    figure.legend(named.values(), named.keys(), loc="outside lower center", ncols=legend_columns(list(named)))
    classes = max(len(each.series.used["confusion"].dropna().iloc[0]) for each in family.members)
    caption = (
        f"Level: {level_axis_label(family.settings[0])}. Mutual information of class and answer, corrected for bias; "
        "mean over the repetitions; bands: 95 % bootstrap interval over the validation samples of these networks. "
        f"{classes} classes carry at most {math.log2(classes):.2f} bits. {run_count_sentence(family.members)}"
    )
    title = f"{family.title}: information of the answers"
    return save_figure(figure, pd.concat(tables), folder, f"information-{family.slug}", title, caption)


def _shape(settings: Settings) -> tuple[int, ...]:
    return tuple(settings["model.hidden"] or ())


def _in_words(settings: Settings) -> str:
    return label(settings, ["model.hidden"]) or "the model's own hidden layers"
