"""Progress of long work, on standard error: a bar in a terminal, one plain line elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")


def track(items: Iterable[T], what: str, total: int) -> Iterator[T]:
    """Yield ``items`` and say how far it is; ``what`` names them, as in "runs read"."""
    if sys.stderr.isatty():
        yield from tqdm(items, desc=what, total=total, leave=False)
        return
    done = 0
    for done, item in enumerate(items, start=1):  # noqa: B007
        yield item
    print(f"{what}: {done}", file=sys.stderr, flush=True)
