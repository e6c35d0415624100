"""Tables, and numbers in words."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

from rich.console import Console, RenderableType
from rich.table import Table


def table(head: Sequence[str], rows: Iterable[Sequence[str]], left: int) -> Table:
    """A table; the first ``left`` columns are left-aligned, the others right-aligned."""
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for number, name in enumerate(head):
        shown.add_column(name, justify="left" if number < left else "right", overflow="fold")
    for row in rows:
        shown.add_row(*row)
    return shown


def show(parts: Iterable[RenderableType]) -> None:
    """Print tables and lines: within the width of a terminal, elsewhere without line breaks and colours."""
    console = Console(highlight=False, markup=False, emoji=False, width=None if sys.stdout.isatty() else 100_000)
    for part in parts:
        console.print(part)


def short(number: float | None) -> str:
    """A number with at least two significant digits; ``?`` for None."""
    if number is None:
        return "?"
    return f"{number:,.0f}" if number >= 10 else f"{number:.2g}"


def in_words(count: int, noun: str) -> str:
    """A number with its noun: ``1 file``, ``12,100 files``."""
    return f"{count:,} {noun}{'s' * (count != 1)}"


def are_in_words(count: int, noun: str) -> str:
    """A number with its noun and verb: ``1 file is``, ``12,100 files are``."""
    return f"{in_words(count, noun)} {'is' if count == 1 else 'are'}"


def runs_in_words(count: int) -> str:
    """A number of runs: ``1 run``, ``12,100 runs``."""
    return in_words(count, "run")
