"""Files of a table: numbers as CSV, texts as LaTeX."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.runs.series import Settings
from analysis.tables import latex


@dataclass(frozen=True, eq=False)
class Table:
    """Written table: stem of its file names, title, caption, and the texts of its cells.

    The texts may have columns of two levels.
    """

    name: str
    title: str
    caption: str
    texts: pd.DataFrame


def with_settings(rows: Iterable[tuple[Settings, Mapping[str, Any]]]) -> pd.DataFrame:
    """A table with the settings and the numbers of each row. Settings keep their types: null does not become NaN."""
    listed = list(rows)
    settings = pd.DataFrame([settings for settings, _ in listed], dtype=object)
    return pd.concat([settings, pd.DataFrame([numbers for _, numbers in listed])], axis=1)


def write_csv(table: pd.DataFrame, path: Path) -> None:
    """Write a table as CSV with six significant digits."""
    table.to_csv(path, index=False, float_format="%.6g", lineterminator="\n")


def save_table(
    numbers: pd.DataFrame, texts: pd.DataFrame, folder: Path, name: str, title: str, caption: str,
    *, latex_texts: pd.DataFrame | None = None, notes: Iterable[str] = (),
) -> Table:  # fmt: skip
    """Write the two files of a table into ``folder``: numbers as CSV, texts and caption as LaTeX.

    ``latex_texts`` replace the texts in LaTeX. ``notes`` are printed below the caption.
    """
    write_csv(numbers, folder / f"{name}.csv")
    text = latex.tabular(texts if latex_texts is None else latex_texts, [caption, *notes])
    (folder / f"{name}.tex").write_text(text, encoding="utf-8")
    return Table(name, title, caption, texts)
