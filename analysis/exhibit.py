"""What an exhibit of the report is, and how its tables are written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from analysis import latex
from analysis.figures.style import Plot, write_csv
from analysis.grids import planned_in
from analysis.study import Study


@dataclass(frozen=True, eq=False)
class Table:
    """A table that was written: the stem of its files, its title and caption, and its cells in words.

    The words may have columns of two levels.
    """

    name: str
    title: str
    caption: str
    words: pd.DataFrame


@dataclass(frozen=True)
class Exhibit:
    """A table or a figure of the papers, or another part of the report.

    Attributes
    ----------
    number
        As the papers count, ``Figure 3``, or a name.
    title
        What it shows.
    needs
        The runs it is made of, in words that end the sentence "Not drawn: needs …".
    grids
        The files below ``seml_configs`` that plan such runs.
    make
        Writes the files of its tables and figures into a folder. Returns none if there are not enough runs.
    """

    number: str
    title: str
    needs: str
    grids: tuple[str, ...]
    make: Callable[[Study, Path], Sequence[Plot | Table]]

    @property
    def lacking(self) -> str:
        """Which runs are lacking, and where they are planned; said where nothing could be made."""
        return f"Not drawn: needs {self.needs}. {planned_in(self.grids)}".rstrip()


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
