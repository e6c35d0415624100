"""Table II of the paper: ratio of the weights of the noisy layer without and with clamping, for the runs of a study."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis import published_results
from analysis.figures.layout.families import grouped
from analysis.labels import cell_text, column_heading, differing_settings, format_number, format_with_error
from analysis.midpoints.study import FittedSeries, Study
from analysis.runs.series import Settings
from analysis.tables.table_files import Table, save_table, with_settings

_CLAMP = "training.weight_clamp"

_CAPTION = (
    "Ratio of the mean |weight| of the noisy conv or linear layer without clamping to that with clamping. The networks "
    "are trained with noise at the point directly after that layer. ±: one standard deviation, from the standard "
    "deviations over the repetitions of both series. Each series is taken at its sampled level closest to its own μ. "
    "Levels and runs: without clamping / with clamping; runs used of those planned at that level. The paper's ratio is "
    "given if its data set, model, noise and epochs are the same."
)


@dataclass(frozen=True)
class Weights:
    """Weights of the noisy layer of one series at the sampled level closest to its μ.

    Attributes
    ----------
    level
        The sampled level; NaN if the series has no μ.
    mean, std
        Mean of the mean |weight| over the repetitions, and its sample standard deviation (NaN for one repetition).
    used, planned
        Numbers of runs at the level. A run without finite weights is not used.
    lacking
        Reason why there is no mean; empty if there is one.
    """

    level: float
    mean: float
    std: float
    used: int
    planned: int
    lacking: str


@dataclass(frozen=True)
class Ratio:
    """Entry of the table: a layer (the first is 0), its name, and its weights without and with clamping."""

    settings: Settings
    layer: int
    name: str
    free: Weights
    clamped: Weights

    @property
    def value(self) -> float:
        return self.free.mean / self.clamped.mean

    @property
    def std(self) -> float:
        """Standard deviation of the ratio to first order; NaN if one of the series has a single repetition."""
        return self.value * math.hypot(self.free.std / self.free.mean, self.clamped.std / self.clamped.mean)


def make(study: Study, folder: Path) -> Sequence[Table]:
    """Write the table if there is a pair of equal series without and with clamping."""
    ratios = weight_ratios(study.fitted_series)
    if not ratios:
        return []
    lacking = sorted({weights.lacking for each in ratios for weights in (each.free, each.clamped) if weights.lacking})
    caption = _CAPTION + (f" No ratio (–): {'; '.join(lacking)}." if lacking else "")
    title = "Ratio of the mean |weight| of the noisy layer: without clamping / with clamping"
    return [save_table(numbers(ratios), texts(ratios), folder, "table2", title, caption)]


def weight_ratios(fitted_series: Iterable[FittedSeries]) -> list[Ratio]:
    """An entry for each pair of series without and with clamping at a point directly after a conv or linear layer.

    Both series are trained with noise and differ only in the clamp. The layers of a model are those whose weights are
    stored in its runs.
    """
    trained = [
        each for each in fitted_series
        if isinstance(each.settings["noise.point"], int) and each.settings["noise.in_training"]
    ]  # fmt: skip
    return [
        Ratio(each.settings, layers.index(name), name, weights_of(free, name), weights_of(each, name))
        for (free, *others) in grouped(trained, [_CLAMP]) if free.settings[_CLAMP] is None
        for each in others
        for layers in [_layers(each) or _layers(free)]
        for name in [free.series.points[free.settings["noise.point"]].layer] if name in layers
    ]  # fmt: skip


def weights_of(each: FittedSeries, layer: str) -> Weights:
    """Weights of a layer in the runs of a series at the sampled level closest to its μ."""
    used, mu = each.series.used, each.fit.mu
    levels = np.array(sorted(used["level"][used["level"] > 0].unique()))
    if not mu.is_known:
        reason = "μ outside the sampled levels" if mu.bound else str(each.fit.flags[0])
        return Weights(math.nan, math.nan, math.nan, 0, len(each.series.runs), reason)
    level = float(levels[np.argmin(np.abs(np.log10(levels / mu.value)))])
    stored = [weights[layer] for weights in used["mean_abs_weight"][used["level"] == level] if weights]
    finite = pd.Series([weight for weight in stored if weight is not None], dtype=float)
    planned = int((each.series.runs["level"] == level).sum())
    lacking = "" if len(finite) else "no run at that level of the series has finite weights"
    return Weights(level, float(finite.mean()), float(finite.std()), len(finite), planned, lacking)


def _layers(each: FittedSeries) -> list[str]:
    return list(next((weights for weights in each.series.used["mean_abs_weight"] if weights), {}))


def numbers(ratios: Sequence[Ratio]) -> pd.DataFrame:
    """Numbers of Table II, a row per entry.

    Columns: the dotted setting names of the clamped series; ``layer`` from 1 and its ``name``; ``ratio`` and ``std``;
    ``paper``; for ``free`` and ``clamped`` weights the ``level``, ``mean`` and ``std`` of mean |weight|, ``used`` and
    ``planned`` runs, and ``lacking``, the reason why there is no mean.
    """
    return with_settings((each.settings, _row(each)) for each in ratios)


def _row(each: Ratio) -> dict[str, Any]:
    return {
        "layer": each.layer + 1, "name": each.name, "ratio": each.value, "std": each.std,
        "paper": published_results.published_weight_ratio(each.settings, each.layer),
        **{
            f"{side}_{name}": getattr(weights, name)
            for side, weights in (("free", each.free), ("clamped", each.clamped))
            for name in ("level", "mean", "std", "used", "planned", "lacking")
        },
    }  # fmt: skip


def texts(ratios: Sequence[Ratio]) -> pd.DataFrame:
    """Texts of Table II: for each data set, model and noise, rows of ratios, levels and runs."""
    names = ["data.name", "model.name", "model.batch_norm", "noise.kind"]
    differing = differing_settings([each.settings for each in ratios])
    names += [name for name in differing if name not in (*names, "noise.point")]
    groups: dict[tuple[str, ...], dict[int, Ratio]] = {}
    for each in ratios:
        groups.setdefault(tuple(cell_text(name, each.settings[name]) for name in names), {})[each.layer] = each
    layers = range(1 + max(each.layer for each in ratios))
    lines: list[tuple[str, ...]] = []
    for group, here in groups.items():
        blank = ("",) * len(group)
        for index, (name, text) in enumerate(_LINES.items()):
            cells = [text(here[layer]) if layer in here else "" for layer in layers]
            if any(cells):
                lines.append((*(blank if index else group), name, *cells))
    return pd.DataFrame(lines, columns=[*map(column_heading, names), "", *(f"layer {layer + 1}" for layer in layers)])


def _paper(each: Ratio) -> str:
    printed = published_results.published_weight_ratio(each.settings, each.layer)
    return "" if printed is None else f"{printed:g}"


_LINES: dict[str, Callable[[Ratio], str]] = {
    "ratio": lambda each: format_with_error(each.value, each.std),
    "paper": _paper,
    "point": lambda each: f"{each.settings['noise.point']} {each.name}",
    "levels": lambda each: f"{format_number(each.free.level)} / {format_number(each.clamped.level)}",
    "runs": lambda each: " / ".join(f"{side.used} of {side.planned}" for side in (each.free, each.clamped)),
}
