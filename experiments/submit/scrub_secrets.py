"""Removal of secrets from the documents of runs that were added by ``seml add`` without our environment filter.

SEML stores two fields that may contain secrets of the user: the environment, ``seml.env``, and the address of the git
remote, ``git.path``. Both are equal in all runs of a batch, so that documents are checked and changed in groups.
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
    """Disallowed content of a group of documents with equal environment and git remote."""

    runs: int  # number of documents
    names: frozenset[str]  # of the variables, and ``git.path`` if the address contains a secret; never a value
    matching: Document  # filter that selects these documents
    cleaned: Document  # the fields without the disallowed content


def excess(runs: Runs) -> Iterator[Excess]:
    """Find the documents of a collection with content that :mod:`experiments.submit.environment` disallows."""
    group = {"_id": {"environment": f"${ENVIRONMENT}", "remote": f"${REMOTE}"}, "runs": {"$sum": 1}}
    for equal in runs.aggregate([{"$group": group}]):
        environment, remote = equal["_id"].get("environment"), equal["_id"].get("remote")
        variables = not_allowed(environment or {})
        has_secret = bool(SECRET_VALUE.search(remote or ""))
        if variables or has_secret:
            cleaned: Document = {}
            if variables:
                cleaned[ENVIRONMENT] = {name: environment[name] for name in environment if name not in variables}
            if has_secret:
                cleaned[REMOTE] = re.sub("://[^/@]*@", "://", remote)
            names = frozenset([*variables, *([REMOTE] if has_secret else [])])
            yield Excess(equal["runs"], names, {ENVIRONMENT: environment, REMOTE: remote}, cleaned)


def count_excess(runs: Runs) -> tuple[int, list[str]]:
    """The number of documents with disallowed content, and the names of the variables and fields; never a value."""
    groups = list(excess(runs))
    return sum(group.runs for group in groups), sorted(frozenset[str]().union(*(group.names for group in groups)))


def clean(runs: Runs, group: Excess) -> int:
    """Remove the disallowed content of a group of documents; return the number of changed documents."""
    return runs.update_many(group.matching, {"$set": group.cleaned}).modified_count
