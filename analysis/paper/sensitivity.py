"""What the choices behind a midpoint do to it: those of the fit, of the runs, and of the number of repetitions.

All three are shown for series under global noise.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from analysis.labels import cell_text, differing_settings, format_interval, format_number, label
from analysis.midpoints.midpoint import fit_midpoint, t_interval
from analysis.midpoints.study import FittedSeries, Study
from analysis.runs.run_frame import rows
from analysis.runs.series import Settings
from analysis.tables.table_files import Table, save_table

LEAST_REPETITIONS = 2
"""The smallest subset of the repetitions for which there is an interval."""


class RunChoice(NamedTuple):
    """A setting of the runs that is a choice: its name, what is reported, and the runs that show another choice."""

    name: str
    reported: str
    needs: str


RUN_CHOICES = (
    RunChoice(
        "noise.gradient", "exact",
        "multiplicative global noise, trained with it, with noise.gradient: straight_through beside exact",
    ),
    RunChoice(
        "data.transform", "release", "fashion_mnist, svhn or cifar10 with data.transform: none beside release"
    ),
    RunChoice("training.epochs", "most", "the same global noise with other training.epochs"),
)  # fmt: skip


def make(study: Study, folder: Path) -> Sequence[Table]:
    """Three tables, of the choices of fit, of runs and of repetitions; none without a global series."""
    chosen = [
        each for each in study.fitted_series if each.settings["noise.point"] == "global" and each.fit.curve is not None
    ]
    if not chosen:
        return []
    names = differing_settings([each.settings for each in chosen]) or ["data.name", "model.name"]
    fits, runs, repetitions = of_fit(chosen), of_runs(chosen), of_repetitions(chosen)
    return [
        save_table(
            fits, fits_in_words(fits, names), folder, "sensitivity", "Choices of fit",
            "μ of the global series; in brackets ± one standard error, or the 95 % interval for fits per repetition.",
        ),
        save_table(
            runs, runs_in_words(runs, names), folder, "sensitivity_runs", "Choices of runs",
            "μ of fits per repetition with its 95 % interval, for series that differ in that one setting; their ratio "
            "with the 95 % t interval over the repetitions that both have.",
        ),
        save_table(
            repetitions, repetitions_in_words(repetitions, names), folder, "sensitivity_repetitions",
            "Number of repetitions",
            "Every subset of the repetitions as a study of its own: from the lowest to the highest of its midpoints "
            "(geometric mean of the repetitions'), and the mean width of its 95 % interval, as the factor between the "
            "ends.",
        ),
    ]  # fmt: skip


def of_fit(chosen: Sequence[FittedSeries]) -> pd.DataFrame:
    """How midpoints depend on the choices of :mod:`analysis.midpoints.midpoint`: a row per series and choice.

    Columns: the dotted setting names, ``choice``, ``mu``, ``mu_low`` and ``mu_high``. The last two are ``mu`` minus and
    plus its standard error; for fits per repetition they are the ends of the 95 % interval.
    """
    return _table((each.settings, choice) for each in chosen for choice in _fits(each))


def of_runs(chosen: Sequence[FittedSeries]) -> pd.DataFrame:
    """How midpoints depend on settings of the runs: a row per pair of series that differ in one of :data:`RUN_CHOICES`.

    Columns: the dotted setting names, ``setting``, ``reported`` and ``other`` value, ``mu`` and ``mu_other`` with their
    intervals, ``ratio`` with ``ratio_low`` and ``ratio_high``, and ``repetitions``. A setting of which no pair has runs
    has one row, with what it ``needs``.
    """
    found: list[tuple[Settings, dict[str, Any]]] = []
    for choice in RUN_CHOICES:
        pairs = [(one.settings, _compared(choice, one, other)) for one, other in _pairs(chosen, choice)]
        found += pairs or [({}, {"setting": choice.name, "needs": choice.needs})]
    return _table(found)


def of_repetitions(chosen: Sequence[FittedSeries]) -> pd.DataFrame:
    """How midpoints depend on the number of repetitions: a row per series and size of a subset.

    Columns: the dotted setting names, ``repetitions`` of ``total``, ``subsets``; ``mu_lowest`` and ``mu_highest`` of
    them; ``width``, the geometric mean of the factor between the ends of their 95 % intervals. A series with too few
    repetitions has one row without subsets.
    """
    return _table((each.settings, row) for each in chosen for row in _subsets(each))


def fits_in_words(fits: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """A row per series, a column per choice."""
    words = pd.DataFrame({
        "series": _labels(fits, names),
        "choice": fits["choice"],
        "text": [f"{format_number(row['mu'])} {format_interval(row['mu_low'], row['mu_high'])}" for row in rows(fits)],
    })  # fmt: skip
    choices, series = list(dict.fromkeys(words["choice"])), list(dict.fromkeys(words["series"]))
    return words.pivot(index="series", columns="choice", values="text").loc[series, choices].reset_index()


def runs_in_words(runs: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """A row per pair of series, or per setting without one."""
    return pd.DataFrame([_pair_in_words(row, names) for row in rows(runs)])


def repetitions_in_words(repetitions: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """A row per series, a column per number of repetitions."""
    words = pd.DataFrame({
        "series": _labels(repetitions, names),
        "of": repetitions["total"].astype(str),
        "number": [f"{size} repetitions" for size in repetitions["repetitions"]],
        "text": [
            f"{format_number(row['mu_lowest'])}–{format_number(row['mu_highest'])}, × {format_number(row['width'])}"
            if row["subsets"]
            else f"not measured: needs {LEAST_REPETITIONS} seeds or more"
            for row in rows(repetitions)
        ],
    })  # fmt: skip
    sizes = [f"{size} repetitions" for size in sorted(set(repetitions["repetitions"]))]
    table = words.pivot(index=["series", "of"], columns="number", values="text")
    table = table.loc[pd.MultiIndex.from_frame(words[["series", "of"]]).unique(), sizes]
    return table.fillna("–").reset_index().rename(columns={"of": "repetitions"})


def _fits(each: FittedSeries) -> Iterator[dict[str, Any]]:
    runs, chance_accuracy = each.series.used, each.series.chance_accuracy
    linear = fit_midpoint(runs, chance_accuracy, axis="linear")
    weighted = {
        "log level, weighted (reported)": each.fit,
        "log level, weighted, error from the scatter": fit_midpoint(runs, chance_accuracy, absolute=False),
        "log level, not weighted": fit_midpoint(runs, chance_accuracy, weighted=False),
        "linear level, weighted": linear,
    }
    per_repetition = {
        "log level, per repetition (reported)": each.fit.repetitions,
        "linear level, per repetition": linear.repetitions,
    }
    for choice, fit in weighted.items():
        yield {"choice": choice, "mu": fit.mu, "mu_low": fit.mu - fit.mu_error, "mu_high": fit.mu + fit.mu_error}
    for choice, found in per_repetition.items():
        yield {"choice": choice, "mu": found.mu, "mu_low": found.low, "mu_high": found.high}


def _pairs(chosen: Sequence[FittedSeries], choice: RunChoice) -> Iterator[tuple[FittedSeries, FittedSeries]]:
    """For each group of series that differ in that setting alone: the reported one with each of the others."""
    groups: dict[str, list[FittedSeries]] = {}
    for each in chosen:
        shared = {name: value for name, value in each.settings.items() if name != choice.name}
        groups.setdefault(repr(shared), []).append(each)
    for members in groups.values():
        values = [each.settings[choice.name] for each in members]
        reported = max(values) if choice.reported == "most" else choice.reported
        if reported in values:
            one = members[values.index(reported)]
            yield from ((one, other) for other in members if other is not one)


def _compared(choice: RunChoice, one: FittedSeries, other: FittedSeries) -> dict[str, Any]:
    first, second = (_log_midpoints(each) for each in (one, other))
    shared = [second[name] - first[name] for name in first.keys() & second.keys()]
    ratio, low, high = (10**end for end in t_interval(shared))
    row = {"setting": choice.name, "reported": one.settings[choice.name], "other": other.settings[choice.name]}
    for name, each in (("mu", one), ("mu_other", other)):
        found = each.fit.repetitions
        row |= {name: found.mu, f"{name}_low": found.low, f"{name}_high": found.high}
    return row | {"ratio": ratio, "ratio_low": low, "ratio_high": high, "repetitions": len(shared), "needs": ""}


def _subsets(each: FittedSeries) -> Iterator[dict[str, Any]]:
    midpoints = list(_log_midpoints(each).values())
    if len(midpoints) < LEAST_REPETITIONS:
        unknown = dict.fromkeys(("mu_lowest", "mu_highest", "width"), math.nan)
        yield {"repetitions": LEAST_REPETITIONS, "total": len(midpoints), "subsets": 0, **unknown}
    for size in range(LEAST_REPETITIONS, len(midpoints) + 1):
        found = np.array([t_interval(subset) for subset in combinations(midpoints, size)])
        lowest, highest, width = found[:, 0].min(), found[:, 0].max(), (found[:, 2] - found[:, 1]).mean()
        yield {
            "repetitions": size, "total": len(midpoints), "subsets": len(found), "mu_lowest": 10**lowest,
            "mu_highest": 10**highest, "width": 10**width,
        }  # fmt: skip


def _log_midpoints(each: FittedSeries) -> dict[str, float]:
    """log10 of the midpoint of each repetition that has one within the sampled levels."""
    outcomes = each.fit.repetitions.outcomes
    return {name: math.log10(level) for name, level in outcomes.items() if isinstance(level, float)}


def _pair_in_words(row: dict[str, Any], names: Sequence[str]) -> dict[str, str]:
    setting = row["setting"]
    if row["needs"]:
        return {"setting": setting, "series": f"not measured: needs {row['needs']}"} | dict.fromkeys(_PAIR, "–")
    values = [cell_text(setting, row["reported"]), cell_text(setting, row["other"])]
    found = [
        f"{format_number(row[mu])} {format_interval(row[f'{mu}_low'], row[f'{mu}_high'])}" for mu in ("mu", "mu_other")
    ]
    ratio = f"{format_number(row['ratio'])} {format_interval(row['ratio_low'], row['ratio_high'])}"
    words = [values[0], found[0], values[1], found[1], ratio, f"{row['repetitions']:.0f}"]
    series = label(row, [name for name in names if name != setting])
    return {"setting": setting, "series": series, **dict(zip(_PAIR, words, strict=True))}


_PAIR = ("reported", "μ", "otherwise", "μ otherwise", "ratio", "repetitions")


def _labels(table: pd.DataFrame, names: Sequence[str]) -> list[str]:
    return [label(row, names) for row in rows(table)]


def _table(found: Any) -> pd.DataFrame:
    """One table of settings and numbers. The settings keep their types, so that null is not NaN."""
    listed = list(found)
    settings = pd.DataFrame([settings for settings, _ in listed], dtype=object)
    return pd.concat([settings, pd.DataFrame([numbers for _, numbers in listed])], axis=1)
