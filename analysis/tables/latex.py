"""Tables as LaTeX: a booktabs tabular and the notes below it."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

_ESCAPES = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "_": r"\_", "#": r"\#", "$": r"\$", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$", "μ": r"$\mu$", "σ": r"$\sigma$", "–": "--",
    "−": "$-$", "×": r"$\times$", "≥": r"$\ge$", "≤": r"$\le$", "…": r"\dots{}", "Δ": r"$\Delta$", "₁": "$_1$",
    "₂": "$_2$", "|": "$|$", "<": "$<$", ">": "$>$",
}  # fmt: skip

_LATIN = 0x180
"""Characters from here on are unknown to LaTeX, but for those above."""


def escape(text: str) -> str:
    """Text as LaTeX prints it."""
    return "".join(_ESCAPES.get(character, character if ord(character) < _LATIN else "?") for character in text)


def tabular(table: pd.DataFrame, notes: Iterable[str] = ()) -> str:
    """A tabular (needs the package booktabs) of a table of texts, if it has rows, and its notes in small print."""
    escaped = table.map(escape)
    escaped.columns = table.columns.map(
        lambda name: tuple(map(escape, name)) if isinstance(name, tuple) else escape(name)
    )
    body = escaped.to_latex(index=False, escape=False, multicolumn_format="c") if len(table) else ""
    return (
        body + "".join(f"\n\\noindent{{\\footnotesize {escape(note)}}}\\\\" for note in notes) + ("\n" if notes else "")
    )
