"""SEML commands that reset a selection of FAILED runs."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from typing import Any

from experiments.database.run_status import FAILED

MAX_IDS = 10_000
"""Largest number of ids that a command selects or excludes; Linux accepts arguments of up to 131,071 bytes."""


def reset_commands(collection: str, ids: Sequence[int], others: Sequence[int]) -> list[str]:
    """The SEML commands that reset the FAILED runs ``ids`` of a collection: one command per :data:`MAX_IDS` runs.

    ``others``: the other runs that are FAILED now; no command resets any of them.
    """
    return [f"{reset_by_status(collection, FAILED)} {selection}" for selection in selections(ids, others)]


def selections(ids: Sequence[int], others: Sequence[int]) -> list[str]:
    """The filter arguments of SEML's commands that select the FAILED runs ``ids``, but not the FAILED ``others``."""
    ids = sorted(ids)
    filters = [_shortest(ids[start : start + MAX_IDS], others) for start in range(0, len(ids), MAX_IDS)]
    return [f"-fd {shlex.quote(selection)}" for selection in filters]


def reset_by_status(collection: str, status: str) -> str:
    """The SEML command that resets all runs with a status."""
    return shlex.join(["seml", collection, "reset", "-y", "-s", status])


def delete_and_add(collection: str, selection: str) -> str:
    """The commands that add runs again, with the present environment. A reset would keep the one of their addition.

    Runs that are present are not added again, so they must be deleted before. ``selection`` is that of ``seml delete``,
    which neither selects COMPLETED nor PENDING nor RUNNING runs.
    """
    return (
        f"run `seml {collection} delete -y {selection}`, `walking-noise add {collection} FILE` and "
        f"`walking-noise start {collection}`"
    )


def _shortest(ids: Sequence[int], others: Sequence[int]) -> str:
    """The shorter one of two MongoDB filters: a list of the ids, or their range without the other FAILED runs in it.

    The range may include runs that are not FAILED, which the command does not reset. The text of the filter is valid
    both as JSON and as a Python literal.
    """
    within = [run for run in others if ids[0] < run < ids[-1]]
    in_range: dict[str, Any] = {"$gte": ids[0], "$lte": ids[-1]}
    filters: list[dict[str, Any]] = [{"$in": ids}, in_range | ({"$nin": within} if within else {})]
    return min((json.dumps({"_id": one}) for one in filters), key=len)
