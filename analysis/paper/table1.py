"""Table I of the paper: midpoints under global noise, for the data sets and models of a study."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from analysis import labels, published_results
from analysis.intervals import Estimate, Method
from analysis.labels import column_heading, differing_settings, format_estimate
from analysis.midpoints.flags import flag_letter, flag_notes
from analysis.midpoints.study import FittedSeries, Study
from analysis.tables.series_tables import midpoint_numbers, runs_used
from analysis.tables.table_files import Table, save_table

COLUMNS = tuple((kind, batch_norm) for kind in published_results.KINDS for batch_norm in (False, True))
"""Columns of the table: noise kind, and whether the model has BatchNorm."""

_CELL_SETTINGS = ("noise.kind", "model.batch_norm", "noise.on_batch_norm")

_CAPTION = (
    "Midpoint noise level μ: geometric mean over the repetitions; in brackets its 95 % interval; * marks moderated "
    "t intervals, the others are t intervals. No noise is injected after BatchNorm layers. The paper's value is "
    "given if its data set, model and epochs are the same. In brackets: μ divided by it, with the interval of μ "
    "divided likewise. It comes from the weighted fit, which marks half of the curve's own fall; the table of all "
    "series has ours."
)


def make(study: Study, folder: Path) -> Sequence[Table]:
    """Write the table if a series belongs in it."""
    chosen = table1_series(study.fitted_series)
    if not chosen:
        return []
    flag_texts = flag_notes(flag for each in chosen for flag in each.fit.flags)
    caption = " ".join([_CAPTION, *_left_out(study.fitted_series), *flag_texts])
    title = "Midpoint noise level μ under global noise, trained with noise"
    return [save_table(numbers(study.fitted_series), texts(study.fitted_series), folder, "table1", title, caption)]


def table1_series(fitted_series: Iterable[FittedSeries]) -> list[FittedSeries]:
    """The series that belong in Table I."""
    return [each for each in fitted_series if published_results.in_table1(each.settings)]


def _left_out(fitted_series: Iterable[FittedSeries]) -> list[str]:
    """A sentence on the series under global noise, trained with noise, that are not in Table I, if there are any."""
    others = [
        each.settings
        for each in fitted_series
        if published_results.is_global_and_trained(each.settings) and not published_results.in_table1(each.settings)
    ]
    kinds = Counter(settings["noise.kind"] for settings in others)
    changed = [
        published_results.settings_unlike_table1(settings)
        for settings in others
        if settings["noise.kind"] in published_results.KINDS
    ]
    names = ", ".join(dict.fromkeys(name for each in changed for name in each))
    parts = [f"{len(changed)} with settings that differ from the paper's ({names})"] if changed else []
    parts += [
        f"{kinds[kind]} with {labels.cell_text('noise.kind', kind)} noise"
        for kind in kinds
        if kind not in published_results.KINDS
    ]
    start = "Series under global noise, trained with noise, that only the table of all series contains"
    return [f"{start}: {'; '.join(parts)}."] if parts else []


def numbers(fitted_series: Sequence[FittedSeries]) -> pd.DataFrame:
    """Numbers of Table I, a row per cell.

    Columns: those of :func:`analysis.tables.series_tables.midpoint_numbers`; ``paper``, the printed midpoint; the
    ratio ``mu / paper`` with the interval ``ratio_low``..``ratio_high``, which takes the printed value as exact.
    """
    chosen = table1_series(fitted_series)
    table = midpoint_numbers(chosen)
    table["paper"] = pd.Series([published_results.published_midpoint(each.settings) for each in chosen], dtype=float)
    ratios = {f"ratio{end}": table[f"mu{end}"] / table["paper"] for end in ("", "_low", "_high")}
    return table.assign(**ratios)


def texts(fitted_series: Sequence[FittedSeries]) -> pd.DataFrame:
    """Texts of Table I.

    Each data set, model and combination of other differing settings has up to three rows: midpoints with the letters of
    their flags, values of the paper if there are any, and used runs.
    """
    chosen = table1_series(fitted_series)
    names = ["data.name", "model.name"]
    names += [
        name for name in differing_settings([each.settings for each in chosen]) if name not in (*names, *_CELL_SETTINGS)
    ]
    rows: dict[tuple[str, ...], dict[tuple[str, bool], FittedSeries]] = {}
    for each in chosen:
        row = tuple(labels.cell_text(name, each.settings[name]) for name in names)
        rows.setdefault(row, {})[each.settings["noise.kind"], each.settings["model.batch_norm"]] = each
    lines: list[tuple[str, ...]] = []
    for row, cells in rows.items():
        here = [cells.get(column) for column in COLUMNS]
        blank = ("",) * len(row)
        lines.append((*row, "μ", *(_midpoint(each) if each else "–" for each in here)))
        if any(each and _paper(each) for each in here):
            lines.append((*blank, "paper", *(_paper(each) if each else "" for each in here)))
        lines.append((*blank, "runs", *(runs_used(each.series.counts) if each else "" for each in here)))
    headings = [("", column_heading(name)) for name in names] + [("", "")]
    headings += [(kind, f"{'with' if batch_norm else 'without'} BatchNorm") for kind, batch_norm in COLUMNS]
    return pd.DataFrame(lines, columns=pd.MultiIndex.from_tuples(headings))


def _midpoint(each: FittedSeries) -> str:
    star = "*" if each.fit.mu.method == Method.MODERATED else ""
    return " ".join([format_estimate(each.fit.mu) + star, *(f"({flag_letter(flag)})" for flag in each.fit.flags)])


def _paper(each: FittedSeries) -> str:
    printed = published_results.published_midpoint(each.settings)
    if printed is None or not each.fit.mu.is_known:
        return "" if printed is None else f"{printed:g}"
    value, low, high = (end / printed for end in (each.fit.mu.value, each.fit.mu.low, each.fit.mu.high))
    return f"{printed:g} ({format_estimate(Estimate(value, low, high))})"
