"""Secrets in the documents of runs that SEML alone has added: found and removed.

SEML keeps two things of the place where runs are added: its environment, ``seml.env``, and the address of the git
remote, ``git.path``. Both are the same in all runs of a batch, so they are looked at and changed in groups.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from experiments.database.connection import Document, Runs
from experiments.submit.environment import SECRET_VALUE, not_allowed

ENVIRONMENT, REMOTE = "seml.env", "git.path"


@dataclass(frozen=True)
class Excess:
    """What equal documents hold that may not stand there.

    Attributes
    ----------
    runs
        The number of documents.
    names
        The variables, and ``git.path`` if the address holds a secret; never a value.
    matching
        The filter of these documents.
    cleaned
        The fields as they may be.
    """

    runs: int
    names: frozenset[str]
    matching: Document
    cleaned: Document


def excess(runs: Runs) -> Iterator[Excess]:
    """Find the documents of a collection that hold more than :mod:`experiments.submit.environment` allows."""
    group = {"_id": {"environment": f"${ENVIRONMENT}", "remote": f"${REMOTE}"}, "runs": {"$sum": 1}}
    for found in runs.aggregate([{"$group": group}]):
        environment, remote = found["_id"].get("environment"), found["_id"].get("remote")
        variables = not_allowed(environment or {})
        leaks = bool(SECRET_VALUE.search(remote or ""))
        if variables or leaks:
            cleaned: Document = {}
            if variables:
                cleaned[ENVIRONMENT] = {name: environment[name] for name in environment if name not in variables}
            if leaks:
                cleaned[REMOTE] = re.sub("://[^/@]*@", "://", remote)
            names = frozenset([*variables, *([REMOTE] if leaks else [])])
            yield Excess(found["runs"], names, {ENVIRONMENT: environment, REMOTE: remote}, cleaned)


def holding_more(runs: Runs) -> tuple[int, list[str]]:
    """How many documents of a collection hold more than is allowed, and the names of what they hold; never a value."""
    found = list(excess(runs))
    return sum(group.runs for group in found), sorted(frozenset[str]().union(*(group.names for group in found)))


def clean(runs: Runs, group: Excess) -> int:
    """Remove what documents hold too much; return how many were changed."""
    return runs.update_many(group.matching, {"$set": group.cleaned}).modified_count
