"""Table I of the paper, for the data sets and models that were run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from analysis import labels, published_results
from analysis.labels import column_heading, differing_settings, format_interval, format_number
from analysis.midpoints.flags import flag_letter, flag_notes
from analysis.midpoints.study import FittedSeries, Study
from analysis.tables.series_tables import midpoints, runs_used
from analysis.tables.table_files import Table, save_table

COLUMNS = tuple((kind, batch_norm) for kind in published_results.KINDS for batch_norm in (False, True))
"""The columns of the table: each has a kind of noise, and a model with or without BatchNorm."""

_CELL_SETTINGS = ("noise.kind", "model.batch_norm", "noise.on_batch_norm")

_CAPTION = (
    "Midpoint noise level μ of the weighted fit and, in brackets, the 95 % t interval over the midpoints of the "
    "repetitions. BatchNorm layers have no noise point of their own here. The paper's value stands where its data set, "
    "model and epochs are the same."
)


def make(study: Study, folder: Path) -> Sequence[Table]:
    """Write the table, if any series belongs in it."""
    chosen = members(study.fitted_series)
    if not chosen:
        return []
    flagged = flag_notes(flag for each in chosen for flag in each.fit.flags)
    caption = " ".join([_CAPTION, *_left_out(study.fitted_series), *flagged])
    title = "Midpoint noise level μ under global noise, trained with noise"
    return [save_table(numbers(study.fitted_series), in_words(study.fitted_series), folder, "table1", title, caption)]


def members(fitted_series: Iterable[FittedSeries]) -> list[FittedSeries]:
    """The series that belong in Table I."""
    return [each for each in fitted_series if published_results.in_table1(each.settings)]


def _left_out(fitted_series: Iterable[FittedSeries]) -> list[str]:
    """A sentence that counts the series under global noise, trained with it, that are not in the table, if any."""
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
    parts = [f"{len(changed)} with other settings than the paper's ({names})"] if changed else []
    parts += [
        f"{kinds[kind]} of {labels.cell_text('noise.kind', kind)} noise"
        for kind in kinds
        if kind not in published_results.KINDS
    ]
    where = "In the table of all series alone are these global series, trained with noise"
    return [f"{where}: {'; '.join(parts)}."] if parts else []


def numbers(fitted_series: Sequence[FittedSeries]) -> pd.DataFrame:
    """Table I in numbers, a row per cell.

    The columns are those of :func:`analysis.tables.series_tables.midpoints`, ``paper`` with the printed midpoint, and ``difference``
    with ``mu / paper - 1``.
    """
    table = midpoints(members(fitted_series))
    table["paper"] = pd.Series(
        [published_results.published_midpoint(each.settings) for each in members(fitted_series)], dtype=float
    )
    table["difference"] = table["mu"] / table["paper"] - 1
    return table


def in_words(fitted_series: Sequence[FittedSeries]) -> pd.DataFrame:
    """Table I as the reader sees it.

    For each data set, model and what else differs, there is a row of midpoints with letters for their flags, one of
    the paper's values, if any, and one of the runs used.
    """
    chosen = members(fitted_series)
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
    parts = format_number(each.fit.mu), format_interval(each.fit.repetitions.low, each.fit.repetitions.high)
    marks = [f"({flag_letter(flag)})" for flag in each.fit.flags]
    return " ".join([*(part for part in parts if part != "–"), *marks]) or "–"


def _paper(each: FittedSeries) -> str:
    printed = published_results.published_midpoint(each.settings)
    if printed is None or each.fit.curve is None:
        return "" if printed is None else f"{printed:g}"
    return f"{printed:g} ({100 * (each.fit.mu / printed - 1):+.1f} %)".replace("-", "−")
