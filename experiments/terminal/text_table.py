"""Tables of plain text."""

from __future__ import annotations

from collections.abc import Sequence


def aligned(head: Sequence[str], lines: Sequence[Sequence[str]], left: int) -> list[str]:
    """The lines of a table; the first ``left`` columns are left-aligned, the others right-aligned."""
    widths = [max(map(len, column)) for column in zip(head, *lines, strict=True)]

    def line(cells: Sequence[str]) -> str:
        padded = (
            cell.ljust(width) if number < left else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        return "  ".join(padded).rstrip()

    return [line(head), *map(line, lines)]


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
