"""Files of a table: its numbers as CSV, its text as LaTeX."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from analysis.tables import latex


@dataclass(frozen=True, eq=False)
class Table:
    """A table that was written: the stem of its files, its title and caption, and its cells in words.

    The words may have columns of two levels.
    """

    name: str
    title: str
    caption: str
    words: pd.DataFrame


def write_csv(table: pd.DataFrame, path: Path) -> None:
    """Write a table with six significant digits."""
    table.to_csv(path, index=False, float_format="%.6g", lineterminator="\n")


def save_table(
    numbers: pd.DataFrame, words: pd.DataFrame, folder: Path, name: str, title: str, caption: str,
    *, printed: pd.DataFrame | None = None, notes: Iterable[str] = (),
) -> Table:  # fmt: skip
    """Write a table's two files into ``folder``: its numbers as CSV, its words and its caption as LaTeX.

    ``printed`` takes the place of the words in LaTeX, and ``notes`` stand below its caption.
    """
    write_csv(numbers, folder / f"{name}.csv")
    text = latex.tabular(words if printed is None else printed, [caption, *notes])
    (folder / f"{name}.tex").write_text(text, encoding="utf-8")
    return Table(name, title, caption, words)
