"""Sensitivity of midpoints to the choices of the fit, of the runs, and of the number of repetitions.

All three tables show series under global noise.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from analysis.figures.layout.families import grouped
from analysis.intervals import UNKNOWN, Estimate, t_interval
from analysis.labels import cell_text, differing_settings, format_interval, format_number, label
from analysis.midpoints.curves.weighted_midpoint import fit_mean_curve
from analysis.midpoints.repetition_levels import RepetitionLevels
from analysis.midpoints.study import FittedSeries, Study
from analysis.runs.run_frame import rows
from analysis.runs.series import Settings
from analysis.tables.table_files import Table, save_table, with_settings

LEAST_REPETITIONS = 2
"""Smallest number of repetitions that gives an interval."""

MOST_SIZES, MOST_SUBSETS = 10, 200
"""Largest number of repetitions, besides all, and largest number of subsets of a size that are treated as studies."""


class RunChoice(NamedTuple):
    """A choice in the settings of the runs: the setting, the value reported, and the runs needed for another value.

    ``needs`` is stored in a CSV file.
    """

    name: str
    reported: str
    needs: str


RUN_CHOICES = (
    RunChoice(
        "noise.gradient", "exact",
        "two series with multiplicative global noise in training: noise.gradient exact and straight_through",
    ),
    RunChoice(
        "data.transform", "release", "two series on fashion_mnist, svhn or cifar10: data.transform release and none"
    ),
    RunChoice("training.epochs", "most", "two series with the same global noise and different training.epochs"),
)  # fmt: skip


def make(study: Study, folder: Path) -> Sequence[Table]:
    """Write three tables: choices of the fit, of the runs and of the repetitions.

    Without a midpoint under global noise, no table is written.
    """
    chosen = [
        each for each in study.fitted_series if each.settings["noise.point"] == "global" and each.fit.repetitions.logs
    ]
    if not chosen:
        return []
    names = differing_settings([each.settings for each in chosen]) or ["data.name", "model.name"]
    fits, runs, repetitions = fit_choices(chosen), run_choices(chosen), repetition_subsets(chosen)
    return [
        save_table(
            fits, fit_choice_texts(fits, names), folder, "sensitivity", "Choices in the fit",
            "μ of the series under global noise. In brackets: for fits through the mean accuracies μ minus and plus "
            "one standard error of the fit; for estimates per repetition the 95 % interval.",
        ),
        save_table(
            runs, run_choice_texts(runs, names), folder, "sensitivity_runs", "Choices in the settings of the runs",
            "μ with its 95 % interval, for pairs of series that differ in one setting. "
            "Ratio: μ with the other value divided by μ with the reported value, with the 95 % t interval over the "
            "repetitions that have a midpoint in both series.",
        ),
        save_table(
            repetitions, repetition_texts(repetitions, names), folder, "sensitivity_repetitions",
            "Number of repetitions",
            "Subsets of the repetitions that have a midpoint are treated as studies: all subsets of a size, or "
            f"{MOST_SUBSETS} random ones. The midpoint of a subset is the geometric mean over its repetitions. Cells: "
            "lowest and highest midpoint; ×: factor between the ends of the 95 % interval "
            "(geometric mean over the subsets).",
        ),
    ]  # fmt: skip


def fit_choices(chosen: Sequence[FittedSeries]) -> pd.DataFrame:
    """Midpoints for other choices of the estimate: a row per series and choice.

    Columns: the dotted setting names, ``choice``, ``mu``, ``mu_low`` and ``mu_high``. The last two are ``mu`` minus and
    plus the standard error of the fit; for estimates per repetition, the ends of the 95 % interval.
    """
    return with_settings((each.settings, choice) for each in chosen for choice in _fits(each))


def run_choices(chosen: Sequence[FittedSeries]) -> pd.DataFrame:
    """Midpoints for other settings of the runs: a row per pair of series that differ in one of :data:`RUN_CHOICES`.

    Columns: the dotted setting names, ``setting``, ``reported`` and ``other`` value, ``mu`` and ``mu_other`` with their
    intervals, ``ratio`` with ``ratio_low`` and ``ratio_high``, and ``repetitions``. A setting without a pair of series
    has one row with the runs that it ``needs``.
    """
    table: list[tuple[Settings, dict[str, Any]]] = []
    for choice in RUN_CHOICES:
        pairs = [(one.settings, _compared(choice, one, other)) for one, other in _pairs(chosen, choice)]
        table += pairs or [({}, {"setting": choice.name, "needs": choice.needs})]
    return with_settings(table)


def repetition_subsets(chosen: Sequence[FittedSeries]) -> pd.DataFrame:
    """Midpoints for subsets of the repetitions: a row per series and size of the subset.

    Columns: the dotted setting names, ``repetitions`` of ``total``, ``subsets``; ``mu_lowest`` and ``mu_highest`` of
    the subsets; ``width``, the geometric mean of the factor between the ends of their 95 % intervals. A series with too
    few repetitions has one row without subsets.
    """
    return with_settings((each.settings, row) for each in chosen for row in _subsets(each))


def fit_choice_texts(fits: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Texts of the choices of the fit: a row per series, a column per choice."""
    texts = pd.DataFrame({
        "series": _labels(fits, names),
        "choice": fits["choice"],
        "text": [f"{format_number(row['mu'])} {format_interval(row['mu_low'], row['mu_high'])}" for row in rows(fits)],
    })  # fmt: skip
    choices, series = list(dict.fromkeys(texts["choice"])), list(dict.fromkeys(texts["series"]))
    return texts.pivot(index="series", columns="choice", values="text").loc[series, choices].reset_index()


def run_choice_texts(runs: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Texts of the choices of the runs: a row per pair of series, or per setting without a pair."""
    return pd.DataFrame([_pair_texts(row, names) for row in rows(runs)])


def repetition_texts(repetitions: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Texts of the numbers of repetitions: a row per series, a column per number."""
    texts = pd.DataFrame({
        "series": _labels(repetitions, names),
        "of": repetitions["total"].astype(str),
        "number": [f"{size} repetitions" for size in repetitions["repetitions"]],
        "text": [
            f"{format_number(row['mu_lowest'])}–{format_number(row['mu_highest'])}, × {format_number(row['width'])}"
            if row["subsets"]
            else f"Not measured: needs {LEAST_REPETITIONS} seeds or more."
            for row in rows(repetitions)
        ],
    })  # fmt: skip
    sizes = [f"{size} repetitions" for size in sorted(set(repetitions["repetitions"]))]
    table = texts.pivot(index=["series", "of"], columns="number", values="text")
    table = table.loc[pd.MultiIndex.from_frame(texts[["series", "of"]]).unique(), sizes]
    return table.fillna("–").reset_index().rename(columns={"of": "repetitions"})


def _fits(each: FittedSeries) -> Iterator[dict[str, Any]]:
    runs = each.series.used
    weighted = {
        "weighted fit (paper)": each.fit.weighted,
        "weighted fit, error from the scatter": fit_mean_curve(runs, absolute=False),
        "fit without weights": fit_mean_curve(runs, weighted=False),
        "weighted fit over the linear level": fit_mean_curve(runs, axis="linear"),
    }
    per_repetition = {
        "per repetition (reported)": each.fit.mu,
        "per repetition, plain t interval": each.fit.mu_plain,
        "per repetition, half of its own fall": each.fit.mu_of_fall,
        "per repetition, logistic": _logistic_per_repetition(each),
    }
    for choice, estimate in per_repetition.items():
        yield {"choice": choice, **_columns("mu", estimate)}
    for choice, fit in weighted.items():
        mu, error = (math.nan, math.nan) if fit is None else (fit.mu, fit.error)
        yield {"choice": choice, "mu": mu, "mu_low": mu - error, "mu_high": mu + error}


def _logistic_per_repetition(each: FittedSeries) -> Estimate:
    """Geometric mean of the midpoints of logistics that are fitted to each repetition."""
    fits = {str(name): fit_mean_curve(runs) for name, runs in each.series.used.groupby("repetition")}
    midpoints = {name: fit.mu for name, fit in fits.items() if fit is not None}
    return RepetitionLevels(midpoints).estimate() if midpoints else UNKNOWN


def _pairs(chosen: Sequence[FittedSeries], choice: RunChoice) -> Iterator[tuple[FittedSeries, FittedSeries]]:
    """Pairs of series that differ only in the setting of ``choice``: the reported one with each of the others."""
    for series in grouped(chosen, [choice.name]):
        values = [each.settings[choice.name] for each in series]
        reported = max(values) if choice.reported == "most" else choice.reported
        if reported in values:
            one = series[values.index(reported)]
            yield from ((one, other) for other in series if other is not one)


def _compared(choice: RunChoice, one: FittedSeries, other: FittedSeries) -> dict[str, Any]:
    first, second = (each.fit.repetitions.logs for each in (one, other))
    shared = [second[name] - first[name] for name in first.keys() & second.keys()]
    ratio, low, high = (10**end for end in t_interval(shared))
    row = {"setting": choice.name, "reported": one.settings[choice.name], "other": other.settings[choice.name]}
    row |= _columns("mu", one.fit.mu) | _columns("mu_other", other.fit.mu)
    return row | {"ratio": ratio, "ratio_low": low, "ratio_high": high, "repetitions": len(shared), "needs": ""}


def _columns(name: str, estimate: Estimate) -> dict[str, float]:
    """Columns of an estimate, which are NaN if only a bound is known."""
    return {name: estimate.value if estimate.is_known else math.nan,
            f"{name}_low": estimate.low, f"{name}_high": estimate.high}  # fmt: skip


def _subsets(each: FittedSeries) -> Iterator[dict[str, Any]]:
    midpoints = list(each.fit.repetitions.logs.values())
    if len(midpoints) < LEAST_REPETITIONS:
        unknown = dict.fromkeys(("mu_lowest", "mu_highest", "width"), math.nan)
        yield {"repetitions": LEAST_REPETITIONS, "total": len(midpoints), "subsets": 0, **unknown}
        return
    for size in sorted({*range(LEAST_REPETITIONS, min(len(midpoints), MOST_SIZES) + 1), len(midpoints)}):
        intervals = np.array([t_interval(subset) for subset in _subsets_of(midpoints, size)])
        lowest, highest, width = (
            intervals[:, 0].min(),
            intervals[:, 0].max(),
            (intervals[:, 2] - intervals[:, 1]).mean(),
        )
        yield {
            "repetitions": size, "total": len(midpoints), "subsets": len(intervals), "mu_lowest": 10**lowest,
            "mu_highest": 10**highest, "width": 10**width,
        }  # fmt: skip


def _subsets_of(midpoints: Sequence[float], size: int) -> Iterator[Sequence[float]]:
    """All subsets of a size, or random ones if there are more than :data:`MOST_SUBSETS`."""
    if math.comb(len(midpoints), size) <= MOST_SUBSETS:
        return combinations(midpoints, size)
    draw = np.random.default_rng(0)
    return (draw.choice(midpoints, size, replace=False).tolist() for _ in range(MOST_SUBSETS))


def _pair_texts(row: dict[str, Any], names: Sequence[str]) -> dict[str, str]:
    setting = row["setting"]
    if row["needs"]:
        return {"setting": setting, "series": f"Not measured: needs {row['needs']}."} | dict.fromkeys(_PAIR, "–")
    values = [cell_text(setting, row["reported"]), cell_text(setting, row["other"])]
    midpoints = [
        f"{format_number(row[mu])} {format_interval(row[f'{mu}_low'], row[f'{mu}_high'])}" for mu in ("mu", "mu_other")
    ]
    ratio = f"{format_number(row['ratio'])} {format_interval(row['ratio_low'], row['ratio_high'])}"
    texts = [values[0], midpoints[0], values[1], midpoints[1], ratio, f"{row['repetitions']:.0f}"]
    series = label(row, [name for name in names if name != setting])
    return {"setting": setting, "series": series, **dict(zip(_PAIR, texts, strict=True))}


_PAIR = ("reported", "μ", "other value", "μ with the other value", "ratio", "repetitions")


def _labels(table: pd.DataFrame, names: Sequence[str]) -> list[str]:
    return [label(row, names) for row in rows(table)]
