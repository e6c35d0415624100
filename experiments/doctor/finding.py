"""Findings of checks, and the definition of a check."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from experiments.doctor.examined_site import NotChecked, Site

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


Examination = Callable[[Site], Iterable[Finding]]


@dataclass(frozen=True)
class Check:
    """One check of a site.

    Attributes
    ----------
    name
        Its name in the report.
    examine
        Yields the findings; raises :class:`NotChecked` if the check is impossible.
    on_nodes
        Whether the result may differ on a compute node.
    """

    name: str
    examine: Examination
    on_nodes: bool = False

    def findings(self, site: Site) -> list[Finding]:
        try:
            return list(self.examine(site))
        except NotChecked as reason:
            return [Finding(UNCHECKED, str(reason))]
