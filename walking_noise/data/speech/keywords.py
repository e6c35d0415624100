"""The classes of a keyword spotter."""

from __future__ import annotations

KEYWORDS = ("down", "go", "left", "no", "off", "on", "right", "stop", "up", "yes")
"""The words told apart by default, in the order of MLPerf Tiny."""

OTHERS = ("silence", "unknown")
"""The classes after those of the keywords: no word, and any other word."""

NOT_KEYWORDS = frozenset(OTHERS)
"""Names that cannot be those of keywords."""


def class_names(keywords: tuple[str, ...] | None) -> tuple[str, ...]:
    """Every class in the order of their labels; None stands for :data:`KEYWORDS`."""
    return (KEYWORDS if keywords is None else keywords) + OTHERS
