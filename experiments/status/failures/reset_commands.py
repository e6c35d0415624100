"""SEML commands that reset a selection of FAILED runs."""

from __future__ import annotations

import bisect
import json
import shlex
from collections.abc import Iterator, Sequence
from typing import Any

from experiments.database.run_status import FAILED

MAX_EXACT_FILTER = 1_000
"""Largest number of characters of a filter that names exactly the selected ids. A longer filter is shortened to ranges
that may include runs that are not FAILED."""
MAX_FILTER = 100_000
"""Largest number of characters of a filter; Linux accepts arguments of up to 131,071 bytes."""


def reset_commands(collection: str, ids: Sequence[int], others: Sequence[int]) -> list[str]:
    """The SEML commands that reset the FAILED runs ``ids`` of a collection: one command, unless it would be too long.

    The commands name the ids or ranges of them. If that is long, the ranges also cover runs that are not FAILED now;
    SEML does not reset those.

    Parameters
    ----------
    others
        The other runs that are FAILED. No range covers any of them.
    """
    ids = sorted(ids)
    spans = _spans(ids, None)
    if len(_filter(spans)) > MAX_EXACT_FILTER:
        spans = _spans(ids, sorted(others))
    return [_command(collection, _filter(part)) for part in _parts(spans)]


def reset_by_status(collection: str, status: str) -> str:
    """The SEML command that resets all runs with a status."""
    return shlex.join(["seml", collection, "reset", "-y", "-s", status])


def _command(collection: str, selection: str) -> str:
    return f"{reset_by_status(collection, FAILED)} -fd {shlex.quote(selection)}"


def _spans(ids: Sequence[int], others: Sequence[int] | None) -> list[tuple[int, int]]:
    """Ranges (first, last) that cover all ``ids``, which are in ascending order.

    Without ``others`` a range has no gaps. With ``others``, sorted, a range may also cover ids outside ``ids``, but
    none of ``others``.
    """
    spans: list[tuple[int, int]] = []
    for run in ids:
        if spans and _same_span(spans[-1][1], run, others):
            spans[-1] = spans[-1][0], run
        else:
            spans.append((run, run))
    return spans


def _same_span(last: int, run: int, others: Sequence[int] | None) -> bool:
    """Whether a range that ends at ``last`` may be extended to ``run``."""
    if run == last + 1:
        return True
    return bool(others is not None and bisect.bisect(others, last) == bisect.bisect(others, run))


def _filter(spans: Sequence[tuple[int, int]]) -> str:
    """The MongoDB filter for some ranges; its text is valid both as JSON and as a Python literal."""
    single = [run for first, last in spans for run in range(first, last + 1) if last - first < 2]
    ranges = [{"_id": {"$gte": first, "$lte": last}} for first, last in spans if last - first >= 2]
    listed: list[dict[str, Any]] = [{"_id": {"$in": single}}] if single else []
    terms = listed + ranges
    return json.dumps(terms[0] if len(terms) == 1 else {"$or": terms})


def _parts(spans: Sequence[tuple[int, int]]) -> Iterator[Sequence[tuple[int, int]]]:
    """Halve the ranges until the filter of each part is within :data:`MAX_FILTER`."""
    if len(_filter(spans)) <= MAX_FILTER or len(spans) == 1:
        yield spans
    else:
        middle = len(spans) // 2
        yield from _parts(spans[:middle])
        yield from _parts(spans[middle:])
