"""Table I of the paper, for the data sets and models that were run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from analysis import latex, paper, words
from analysis.flags import Flag, mark, notes
from analysis.study import FittedSeries
from analysis.tables import midpoints, runs_used
from analysis.words import distinguishing, heading, interval, number

COLUMNS = tuple((kind, batch_norm) for kind in paper.KINDS for batch_norm in (False, True))
"""The columns of the table: each has a kind of noise, and a model with or without BatchNorm."""

_CELL_SETTINGS = ("noise.kind", "model.batch_norm", "noise.on_batch_norm")


@dataclass(frozen=True)
class Cell:
    """One midpoint in words; ``paper`` is empty where the paper has no value."""

    mu: str
    interval: str
    paper: str
    runs: str
    flags: tuple[Flag, ...]


@dataclass(frozen=True)
class Table1:
    """Table I in words. Each row has its settings, below ``headings``, and a cell or None for each of COLUMNS."""

    headings: list[str]
    rows: list[tuple[list[str], list[Cell | None]]]


def members(fitted: Sequence[FittedSeries]) -> list[FittedSeries]:
    """The series that belong in Table I."""
    return [each for each in fitted if paper.in_table1(each.settings)]


def numbers(fitted: Sequence[FittedSeries]) -> pd.DataFrame:
    """Table I in numbers, a row per cell.

    The columns are those of :func:`analysis.tables.midpoints`, ``paper`` with the printed midpoint, and ``difference``
    with ``mu / paper - 1``.
    """
    table = midpoints(members(fitted))
    printed = [paper.midpoint(each.settings) for each in members(fitted)]
    table["paper"] = pd.Series(printed, dtype=float)
    if len(table):
        table["difference"] = table["mu"] / table["paper"] - 1
    return table


def in_words(fitted: Sequence[FittedSeries]) -> Table1:
    """Table I as the reader sees it."""
    chosen = members(fitted)
    names = ["data.name", "model.name"]
    if chosen:
        differing = distinguishing([each.settings for each in chosen])
        names += [name for name in differing if name not in (*names, *_CELL_SETTINGS)]
    rows: dict[tuple[str, ...], dict[tuple[str, bool], Cell]] = {}
    for each in chosen:
        row = tuple(words.cell(name, each.settings[name]) for name in names)
        column = each.settings["noise.kind"], each.settings["model.batch_norm"]
        rows.setdefault(row, {})[column] = _cell(each)
    return Table1(
        [heading(name) for name in names],
        [(list(row), [cells.get(column) for column in COLUMNS]) for row, cells in rows.items()],
    )


def as_latex(table: Table1) -> str:
    """Table I for LaTeX. Below each row of midpoints stand the paper's values, if any, and the runs used."""
    columns = [("", name) for name in table.headings]
    columns += [(kind, f"{'with' if batch_norm else 'without'} BatchNorm") for kind, batch_norm in COLUMNS]
    lines = []
    for row, cells in table.rows:
        lines.append([*row, *(_latex_cell(cell) for cell in cells)])
        blank = [""] * (len(row) - 1)
        if any(cell and cell.paper for cell in cells):
            lines.append([*blank, "paper", *(cell.paper if cell else "" for cell in cells)])
        lines.append([*blank, "runs", *(cell.runs if cell else "" for cell in cells)])
    below = [
        "Midpoint noise level under global noise, trained with noise, and the 95 % t interval over the repetitions.",
        *notes(flag for _, cells in table.rows for cell in cells if cell for flag in cell.flags),
    ]
    return latex.tabular(pd.DataFrame(lines, columns=pd.MultiIndex.from_tuples(columns)), below)


def _latex_cell(cell: Cell | None) -> str:
    if cell is None:
        return "–"
    marks = "".join(f" ({mark(flag)})" for flag in cell.flags)
    return " ".join(part for part in (cell.mu, cell.interval) if part != "–").strip() + marks or "–"


def _cell(each: FittedSeries) -> Cell:
    fit, printed = each.fit, paper.midpoint(each.settings)
    compared = "" if printed is None else f"{printed:g}"
    if printed is not None and fit.curve is not None:
        compared += f" ({100 * (fit.mu / printed - 1):+.1f} %)".replace("-", "−")
    return Cell(
        mu=number(fit.mu),
        interval=interval(fit.repetitions.low, fit.repetitions.high),
        paper=compared,
        runs=runs_used(each.series.counts),
        flags=fit.flags,
    )
