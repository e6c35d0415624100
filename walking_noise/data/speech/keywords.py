"""Classes of keyword spotting."""

from __future__ import annotations

KEYWORDS = ("down", "go", "left", "no", "off", "on", "right", "stop", "up", "yes")
"""The default keywords, in the order of MLPerf Tiny."""

OTHERS = ("silence", "unknown")
"""The classes after the keywords: no word, and any other word."""

NOT_KEYWORDS = frozenset(OTHERS)
"""Names that are not allowed as keywords."""


def class_names(keywords: tuple[str, ...] | None) -> tuple[str, ...]:
    """The names of all classes in the order of their labels; None: the default :data:`KEYWORDS`."""
    return (KEYWORDS if keywords is None else keywords) + OTHERS
