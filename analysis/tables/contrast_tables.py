"""Tables of contrasts of midpoints: weakest points of each walk, ratios of series that differ in their training."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.labels import cell_text, column_heading, differing_settings, format_interval, format_number, label
from analysis.midpoints.contrasts import AdditiveModel, Contrasts, mean_ratio, paired_ratios
from analysis.midpoints.flags import Flag
from analysis.midpoints.study import FittedSeries, Study
from analysis.runs.series import Settings
from analysis.tables.table_files import Table, save_table, with_settings

POINT = "noise.point"

CHANGES: dict[str, Any] = {"noise.in_training": False, "training.weight_clamp": None}
"""Settings whose effect on the midpoint is listed -> the value to which the others are compared."""

_WEAKEST = (
    "Ratio of the midpoint of each point to the lowest one of the walk. The seeds cancel. The intervals of a walk "
    "hold at once at 95 %, for the ratios of all pairs of its points. Weakest: listed points that may be the weakest "
    "of the listed ones; it is among them at 95 % (multiple comparisons with the best). Strongest: likewise."
)
_RATIOS = (
    "Ratio of the midpoints of two series that differ in one setting: with it, divided by without it; mean: geometric "
    "mean over the points. Each 95 % interval holds for one ratio. The simultaneous intervals hold at 95 % for all "
    "points of this table, and for all means of this table."
)


@dataclass(frozen=True, eq=False)
class Walk:
    """Series that differ only in the noise point: ``series`` has one or more, the lowest point first."""

    series: Sequence[FittedSeries]

    @property
    def settings(self) -> Settings:
        return {**self.series[0].settings, POINT: None}

    @cached_property
    def model(self) -> AdditiveModel | None:
        """Model of the points; None with fewer than two points or two repetitions that have all points."""
        return AdditiveModel(self.log_mu) if min(self.log_mu.dropna().shape) > 1 else None

    @property
    def left_out(self) -> list[str]:
        """Points with a repetition whose midpoint is missing or lies outside the sampled levels, with the reasons."""
        return [f"{each.series.point_name} ({_reasons(each)})" for each in self.series if _reasons(each)]

    @cached_property
    def log_mu(self) -> pd.DataFrame:
        """log10 of the midpoints: (repetitions, names of the points that are not left out)."""
        logs = {each.series.point_name: each.fit.repetitions.logs for each in self.series if not _reasons(each)}
        names = sorted({name for each in logs.values() for name in each})
        values = [[each.get(name, math.nan) for each in logs.values()] for name in names]
        return pd.DataFrame(values, names, list(logs), dtype=float)

    @cached_property
    def may_be_weakest(self) -> list[str]:
        """Points that may be the weakest one at 95 %; none without a model."""
        return self.model.may_be_lowest() if self.model else []


@dataclass(frozen=True, eq=False)
class Pair:
    """Walks that differ only in the setting ``name``: ``first`` divided by ``second`` is listed."""

    name: str
    first: Walk
    second: Walk

    @cached_property
    def differences(self) -> pd.DataFrame:
        """log10 of the ratios: (repetitions, points that both walks have), for repetitions that both walks have."""
        common = [name for name in self.first.log_mu if name in self.second.log_mu]
        return (self.first.log_mu[common] - self.second.log_mu[common]).dropna(how="all")

    @cached_property
    def ratios(self) -> Contrasts | None:
        """Ratios by point; None without a point that has two common repetitions."""
        ratios = paired_ratios(self.differences) if len(self.differences.dropna()) > 1 else None
        return ratios if ratios and len(ratios.estimate) else None

    @property
    def change(self) -> str:
        """Text of the two values of the setting."""
        return " / ".join(cell_text(self.name, walk.settings[self.name]) for walk in (self.first, self.second))

    @property
    def left_out(self) -> list[str]:
        """Points that one of the walks leaves out."""
        return list(dict.fromkeys([*self.first.left_out, *self.second.left_out]))


def make(study: Study, folder: Path) -> Sequence[Table]:
    """Write the tables for which there are walks of two points, or pairs of series, with two repetitions or more."""
    tables = []
    walks, pairs = walks_of(study.fitted_series), pairs_of(study.fitted_series)
    if any(walk.model for walk in walks):
        numbers, title = weakest_numbers(walks), "Weakest and strongest noise points"
        caption = " ".join([_WEAKEST, *_left_out([(walk.settings, walk.left_out, walk.model) for walk in walks])])
        tables.append(save_table(numbers, weakest_texts(numbers), folder, "weakest_points", title, caption))
    if any(pair.ratios for pair in pairs):
        numbers, title = ratio_numbers(pairs), "Ratios of midpoints of series that differ in their training"
        caption = " ".join([_RATIOS, *_left_out([(pair.first.settings, pair.left_out, pair.ratios) for pair in pairs])])
        tables.append(save_table(numbers, ratio_texts(numbers), folder, "midpoint_ratios", title, caption))
    return tables


def walks_of(fitted_series: Iterable[FittedSeries]) -> list[Walk]:
    """The walks with two points or more."""
    groups = _grouped((each for each in fitted_series if isinstance(each.settings[POINT], int)), POINT)
    return [Walk(group) for group in groups if len(group) > 1]


def pairs_of(fitted_series: Iterable[FittedSeries]) -> list[Pair]:
    """The pairs of walks, and of series under global noise, that differ in one of :data:`CHANGES`."""
    listed = list(fitted_series)
    return [pair for name in CHANGES for pair in _pairs(listed, name)]


def _pairs(fitted_series: Sequence[FittedSeries], name: str) -> Iterator[Pair]:
    for group in _grouped(fitted_series, name, POINT):
        for scope in (int, str):
            walks: dict[Any, list[FittedSeries]] = {}
            for each in group:
                if isinstance(each.settings[POINT], scope):
                    walks.setdefault(each.settings[name], []).append(each)
            if members := walks.pop(CHANGES[name], None):
                reference = Walk(members)
                yield from (Pair(name, Walk(walk), reference) for walk in walks.values())


def _grouped(fitted_series: Iterable[FittedSeries], *names: str) -> list[list[FittedSeries]]:
    """Groups of series that differ only in the settings ``names``."""
    groups: dict[str, list[FittedSeries]] = {}
    for each in fitted_series:
        key = repr([(name, value) for name, value in each.settings.items() if name not in names])
        groups.setdefault(key, []).append(each)
    return list(groups.values())


def weakest_numbers(walks: Iterable[Walk]) -> pd.DataFrame:
    """Numbers of the table of weakest points: a row per walk and point.

    Walks with fewer than two points or repetitions have none. Columns: the dotted setting names; ``point``; ``mu``,
    geometric mean of the midpoints; ``ratio`` to the lowest ``mu`` of the walk with ``low`` and ``high``;
    ``may_be_weakest`` and ``may_be_strongest``; ``repetitions``; ``residual_sd``, standard deviation of the rest in
    decades, and its degrees of freedom ``freedom``; ``left_out``, points that are not in the model.
    """
    return with_settings(
        (walk.settings, row) for walk in walks if walk.model for row in _weakest_rows(walk, walk.model)
    )


def _weakest_rows(walk: Walk, model: AdditiveModel) -> Iterator[dict[str, Any]]:
    lowest, weakest, strongest = model.effects.idxmin(), walk.may_be_weakest, model.may_be_highest()
    weights = pd.DataFrame(np.eye(len(model.effects)), model.effects.index, model.effects.index)
    weights[lowest] -= 1.0
    ratios = model.contrasts(weights.drop(lowest)).ratios(len(model.pairs.estimate))
    ratios.loc[lowest, "ratio"] = 1.0
    for name, effect in model.effects.items():
        yield {
            "point": name, "mu": 10**effect, **ratios.loc[str(name)], "may_be_weakest": name in weakest,
            "may_be_strongest": name in strongest, "repetitions": len(model.values),
            "residual_sd": model.residual_sd, "freedom": model.freedom, "left_out": "; ".join(walk.left_out),
        }  # fmt: skip


def weakest_texts(numbers: pd.DataFrame) -> pd.DataFrame:
    """Texts of the table of weakest points."""
    texts = _settings_texts(numbers)
    texts["point"] = numbers["point"]
    texts["μ"] = [format_number(mu) for mu in numbers["mu"]]
    texts["ratio to the lowest"] = _with_interval(numbers)
    for name in ("weakest", "strongest"):
        texts[name] = ["may be" if flag else "" for flag in numbers[f"may_be_{name}"]]
    return texts


def ratio_numbers(pairs: Iterable[Pair]) -> pd.DataFrame:
    """Numbers of the table of ratios: a row per pair and point, and a row for the mean over the points.

    Pairs with fewer than two common repetitions have none. Columns: the dotted setting names of the first series;
    ``setting`` that differs and its ``values``; ``point``; ``ratio`` with ``low`` and ``high``, and
    ``simultaneous_low`` and ``simultaneous_high``; ``repetitions``; ``left_out``, points without a ratio.
    """
    by_point = {pair: pair.ratios for pair in pairs if pair.ratios}
    points = sum(len(ratios.estimate) for ratios in by_point.values())
    means = {pair: mean_ratio(pair.differences) for pair, ratios in by_point.items() if len(ratios.estimate) > 1}
    return with_settings(
        (
            pair.first.settings,
            {"setting": pair.name, "values": pair.change, "point": name} | row | {"left_out": "; ".join(pair.left_out)},
        )
        for pair, ratios in by_point.items()
        for part, comparisons in ((ratios, points), (means.get(pair), len(means))) if part is not None
        for name, row in _ratio_rows(part, comparisons, pair.differences)
    )  # fmt: skip


def _ratio_rows(
    contrasts: Contrasts, comparisons: int, differences: pd.DataFrame
) -> Iterator[tuple[str, dict[str, Any]]]:
    ratios = contrasts.ratios().join(contrasts.ratios(comparisons)[["low", "high"]].add_prefix("simultaneous_"))
    for name, row in ratios.iterrows():
        repetitions = differences[name].count() if name in differences else len(differences.dropna())
        yield str(name), {**row, "repetitions": repetitions}


def ratio_texts(numbers: pd.DataFrame) -> pd.DataFrame:
    """Texts of the table of ratios."""
    texts = _settings_texts(numbers, *CHANGES)
    changes = zip(numbers["setting"], numbers["values"], strict=True)
    texts["change"] = [f"{column_heading(name)}: {values}" for name, values in changes]
    texts["point"] = numbers["point"]
    texts["ratio, 95 % interval"] = _with_interval(numbers)
    simultaneous = zip(numbers["simultaneous_low"], numbers["simultaneous_high"], strict=True)
    texts["simultaneous"] = [format_interval(low, high) for low, high in simultaneous]
    return texts


def _settings_texts(numbers: pd.DataFrame, *leave_out: str) -> pd.DataFrame:
    """Texts of the settings that differ between the rows, without the points."""
    settings = [{str(name): row[name] for name in row if "." in str(name)} for row in numbers.to_dict("records")]
    differing = [name for name in differing_settings(settings) if name not in (POINT, *leave_out)]
    names = differing or ["data.name", "model.name"]
    return pd.DataFrame({column_heading(name): [cell_text(name, each[name]) for each in settings] for name in names})


def _with_interval(numbers: pd.DataFrame) -> list[str]:
    rows = zip(numbers["ratio"], numbers["low"], numbers["high"], strict=True)
    cells = [(format_number(ratio), format_interval(low, high)) for ratio, low, high in rows]
    return [ratio if interval == "–" else f"{ratio} {interval}" for ratio, interval in cells]


def _left_out(listed: Sequence[tuple[Settings, Sequence[str], object]]) -> list[str]:
    """Sentences on points that are left out, and on walks or pairs without contrasts (None), if there are any."""
    names = [name for name in differing_settings([settings for settings, _, _ in listed]) if name != POINT]
    parts = [f"{label(settings, names)}: {', '.join(texts)}".lstrip(": ") for settings, texts, _ in listed if texts]
    missing = sum(contrasts is None for _, _, contrasts in listed)
    sentences = []
    if parts:
        sentences.append(f"Left out, since a repetition has no midpoint within the sampled levels: {'; '.join(parts)}.")
    if missing:
        sentences.append(f"Not listed, since too few points or repetitions are left: {missing}.")
    return sentences


def _reasons(each: FittedSeries) -> str:
    """Reasons why repetitions of a series have no midpoint within the sampled levels; empty if all have one."""
    outcomes = each.fit.repetitions.outcomes.values()
    if not outcomes:
        return str(Flag.NO_COMPLETED_RUNS)
    return ", ".join(dict.fromkeys(str(outcome) for outcome in outcomes if isinstance(outcome, Flag)))
