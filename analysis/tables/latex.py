"""LaTeX text of tables: a booktabs tabular and the notes below it."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

_ESCAPES = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "_": r"\_", "#": r"\#", "$": r"\$", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$", "μ": r"$\mu$", "σ": r"$\sigma$", "–": "--",
    "−": "$-$", "×": r"$\times$", "≥": r"$\ge$", "≤": r"$\le$", "…": r"\dots{}", "Δ": r"$\Delta$", "₁": "$_1$",
    "₂": "$_2$", "|": "$|$", "<": "$<$", ">": "$>$",
}  # fmt: skip

_NON_LATIN = 0x180
"""LaTeX cannot print characters from this code point on, except those in ``_ESCAPES``."""


def escape(text: str) -> str:
    """A text with LaTeX's special characters escaped."""
    return "".join(_ESCAPES.get(character, character if ord(character) < _NON_LATIN else "?") for character in text)


def tabular(table: pd.DataFrame, notes: Iterable[str] = ()) -> str:
    """LaTeX of a table of texts: a tabular (package booktabs) if it has rows, then the notes in small print."""
    escaped = table.map(escape)
    escaped.columns = table.columns.map(
        lambda name: tuple(map(escape, name)) if isinstance(name, tuple) else escape(name)
    )
    body = escaped.to_latex(index=False, escape=False, multicolumn_format="c") if len(table) else ""
    return (
        body + "".join(f"\n\\noindent{{\\footnotesize {escape(note)}}}\\\\" for note in notes) + ("\n" if notes else "")
    )
