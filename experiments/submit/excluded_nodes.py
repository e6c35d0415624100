"""Option ``exclude`` of sbatch: the nodes that the user excludes, and those on which workers fail."""

from __future__ import annotations

import sys
from collections.abc import Collection
from typing import Any

KEYS = ("exclude", "x")
"""Names of the option in ``sbatch_options``."""


def with_excluded(sbatch_options: dict[str, Any], nodes: Collection[str]) -> dict[str, Any]:
    """The options of a submission that also excludes ``nodes``; the given ones are not changed.

    A file of nodes (a value with a slash) cannot be merged with names: it is kept, and a message says so.
    """
    own = [str(sbatch_options[key]) for key in KEYS if sbatch_options.get(key)]
    if not nodes or any("/" in value for value in own):
        if nodes:
            print(f"walking-noise: not excluded, because exclude is a file: {', '.join(nodes)}", file=sys.stderr)
        return dict(sbatch_options)
    others = {name: value for name, value in sbatch_options.items() if name not in KEYS}
    return {**others, "exclude": ",".join([*own, *nodes])}


def without_excluded(submitted: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """The options of a submission with the ``exclude`` of the user's ``own`` options, to be stored with the runs."""
    others = {name: value for name, value in submitted.items() if name not in KEYS}
    return others | {key: own[key] for key in KEYS if key in own}
