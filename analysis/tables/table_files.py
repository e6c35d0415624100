"""Files of a table: numbers as CSV, texts as a booktabs tabular in LaTeX with the notes below it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.runs.series import Settings

_ESCAPES = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "_": r"\_", "#": r"\#", "$": r"\$", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$", "μ": r"$\mu$", "σ": r"$\sigma$", "–": "--",
    "−": "$-$", "×": r"$\times$", "≥": r"$\ge$", "≤": r"$\le$", "…": r"\dots{}", "Δ": r"$\Delta$", "₁": "$_1$",
    "₂": "$_2$", "|": "$|$", "<": "$<$", ">": "$>$",
}  # fmt: skip

_NON_LATIN = 0x180
"""LaTeX cannot print characters from this code point on, except those in ``_ESCAPES``."""


@dataclass(frozen=True, eq=False)
class Table:
    """Written table: stem of its file names, title, caption, and the texts of its cells.

    The texts may have columns of two levels. The page shows a folded table only on request.
    """

    name: str
    title: str
    caption: str
    texts: pd.DataFrame
    folded: bool = False


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
    *, latex_texts: pd.DataFrame | None = None, notes: Iterable[str] = (), widths: Sequence[float] = (),
) -> Table:  # fmt: skip
    """Write the two files of a table into ``folder``: numbers as CSV, texts and caption as LaTeX.

    ``latex_texts`` replace the texts in LaTeX. ``notes`` are printed below the caption. With ``widths``, shares of the
    width of the text, cells have several lines in LaTeX, and the table may have several pages (package longtable).
    """
    write_csv(numbers, folder / f"{name}.csv")
    text = tabular(texts if latex_texts is None else latex_texts, [caption, *notes], widths)
    (folder / f"{name}.tex").write_text(text, encoding="utf-8")
    return Table(name, title, caption, texts)


def escape(text: str) -> str:
    """A text with LaTeX's special characters escaped."""
    return "".join(_ESCAPES.get(character, character if ord(character) < _NON_LATIN else "?") for character in text)


def tabular(table: pd.DataFrame, notes: Iterable[str] = (), widths: Sequence[float] = ()) -> str:
    """LaTeX of a table of texts: a tabular (package booktabs) if it has rows, then the notes in small print.

    With ``widths``, shares of the width of the text, it is a longtable (package longtable) with such columns. Paths may
    break in their cells.
    """
    escaped = table.map(escape)
    escaped.columns = table.columns.map(
        lambda name: tuple(map(escape, name)) if isinstance(name, tuple) else escape(name)
    )
    columns = "@{}" + "".join(f"p{{\\dimexpr {share}\\linewidth-2\\tabcolsep\\relax}}" for share in widths) + "@{}"
    body = (
        escaped.to_latex(
            index=False, escape=False, multicolumn_format="c", longtable=bool(widths),
            column_format=columns if widths else None,
        )
        if len(table) else ""
    )  # fmt: skip
    if body and widths:
        body = re.sub(r"(?<=\w)(/|\\_)(?=\w)", r"\1\\allowbreak{}", body)
        body = f"{{\\footnotesize\\setlength{{\\tabcolsep}}{{3pt}}\n{body}}}\n"
    return (
        body + "".join(f"\n\\noindent{{\\footnotesize {escape(note)}}}\\\\" for note in notes) + ("\n" if notes else "")
    )
