"""Finding of a check."""

from __future__ import annotations

from dataclasses import dataclass

OK, WARNING, ERROR, UNCHECKED = "ok", "warning", "error", "unchecked"


@dataclass(frozen=True)
class Finding:
    """Result of a check: its level, one line on what was found, and what to do (empty if there is nothing to do)."""

    level: str
    found: str
    mend: str = ""


def ok(found: str) -> Finding:
    """A finding without a problem."""
    return Finding(OK, found)


def warning(found: str, mend: str) -> Finding:
    """A problem that does not prevent training."""
    return Finding(WARNING, found, mend)


def error(found: str, mend: str) -> Finding:
    """A problem that makes runs fail, loses work or exposes a secret."""
    return Finding(ERROR, found, mend)
