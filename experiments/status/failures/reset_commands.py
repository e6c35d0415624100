"""The command that resets some failed runs and no others."""

from __future__ import annotations

import bisect
import json
import shlex
from collections.abc import Iterator, Sequence
from typing import Any

from experiments.database.run_status import FAILED

READABLE = 1_000
"""Characters of a list of ids that is still shown as it is; a longer one is shortened to what tells them apart."""
LONGEST = 100_000
"""Characters of a command; Linux takes arguments of 131,071 bytes."""


def reset_commands(collection: str, ids: Sequence[int], others: Sequence[int]) -> list[str]:
    """The SEML commands, one if at all possible, that reset the FAILED runs ``ids`` of a collection.

    ``others`` are the other runs that are FAILED. Ids are named, or their ranges; where that is long, ranges of which
    runs that are not FAILED now may be part, since those are not reset.
    """
    ids = sorted(ids)
    spans = _spans(ids, None)
    if len(_filter(spans)) > READABLE:
        spans = _spans(ids, sorted(others))
    return [_command(collection, _filter(part)) for part in _parts(spans)]


def reset_by_status(collection: str, status: str) -> str:
    """The SEML command that resets all runs of a status."""
    return shlex.join(["seml", collection, "reset", "-y", "-s", status])


def _command(collection: str, chosen: str) -> str:
    return f"{reset_by_status(collection, FAILED)} -fd {shlex.quote(chosen)}"


def _spans(ids: Sequence[int], others: Sequence[int] | None) -> list[tuple[int, int]]:
    """Ranges, first and last, that hold all of ``ids``; with no gaps, or with gaps in which none of ``others`` is."""
    spans: list[tuple[int, int]] = []
    for run in ids:
        if spans and _joined(spans[-1][1], run, others):
            spans[-1] = spans[-1][0], run
        else:
            spans.append((run, run))
    return spans


def _joined(last: int, run: int, others: Sequence[int] | None) -> bool:
    if run == last + 1:
        return True
    return bool(others is not None and bisect.bisect(others, last) == bisect.bisect(others, run))


def _filter(spans: Sequence[tuple[int, int]]) -> str:
    """A filter of MongoDB, as text that both JSON and Python's literals read alike."""
    single = [run for first, last in spans for run in range(first, last + 1) if last - first < 2]
    ranges = [{"_id": {"$gte": first, "$lte": last}} for first, last in spans if last - first >= 2]
    among: list[dict[str, Any]] = [{"_id": {"$in": single}}] if single else []
    terms = among + ranges
    return json.dumps(terms[0] if len(terms) == 1 else {"$or": terms})


def _parts(spans: Sequence[tuple[int, int]]) -> Iterator[Sequence[tuple[int, int]]]:
    """The spans, in as few parts as keep each command within its limit."""
    if len(_filter(spans)) <= LONGEST or len(spans) == 1:
        yield spans
    else:
        middle = len(spans) // 2
        yield from _parts(spans[:middle])
        yield from _parts(spans[middle:])
