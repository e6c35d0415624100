"""Progress of long work, on standard error: a bar in a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")

SECONDS_BETWEEN_LINES = 10.0


def track(items: Iterable[T], what: str, total: int) -> Iterator[T]:
    """Yield ``items`` and report the progress; ``what`` names them, as in "runs read"."""
    if sys.stderr.isatty():
        yield from tqdm(items, desc=what, total=total, leave=False)
        return
    done, told = 0, time.monotonic()
    for item in items:
        yield item
        done += 1
        if time.monotonic() - told > SECONDS_BETWEEN_LINES:
            print(f"{what}: {done} of {total}", file=sys.stderr, flush=True)
            told = time.monotonic()
    print(f"{what}: {done}", file=sys.stderr, flush=True)
