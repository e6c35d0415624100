"""What a check finds."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from experiments.doctor.examined_site import NotChecked, Site

OK, WARNING, ERROR, UNCHECKED = "ok", "warning", "error", "unchecked"


@dataclass(frozen=True)
class Finding:
    """What was found, in a line, how bad it is, and what to do."""

    level: str
    found: str
    mend: str = ""


def ok(found: str) -> Finding:
    """Nothing is wrong."""
    return Finding(OK, found)


def warning(found: str, mend: str) -> Finding:
    """Work goes on, but not as it should."""
    return Finding(WARNING, found, mend)


def error(found: str, mend: str) -> Finding:
    """Runs will fail or be lost, or a secret is open."""
    return Finding(ERROR, found, mend)


Examination = Callable[[Site], Iterable[Finding]]


@dataclass(frozen=True)
class Check:
    """One thing to look at.

    Attributes
    ----------
    what
        Its name in the report.
    examine
        Looks at it and says what was found; raises :class:`NotChecked` where that is impossible.
    on_nodes
        Whether it may turn out differently on a compute node.
    """

    what: str
    examine: Examination
    on_nodes: bool = False

    def findings(self, site: Site) -> list[Finding]:
        try:
            return list(self.examine(site))
        except NotChecked as reason:
            return [Finding(UNCHECKED, str(reason))]
