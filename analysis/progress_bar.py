"""Progress of a long loop on standard error: a bar in a terminal, otherwise a plain line at intervals."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich import progress
from rich.console import Console

T = TypeVar("T")

SECONDS_BETWEEN_LINES = 10.0


def track(items: Iterable[T], description: str, total: int) -> Iterator[T]:
    """Yield ``items`` and report progress. ``description`` names the items, for example "runs read"."""
    if sys.stderr.isatty():
        yield from progress.track(items, description, total, console=Console(stderr=True), transient=True)
        return
    done, last_report = 0, time.monotonic()
    for item in items:
        yield item
        done += 1
        if time.monotonic() - last_report > SECONDS_BETWEEN_LINES:
            print(f"{description}: {done} of {total}", file=sys.stderr, flush=True)
            last_report = time.monotonic()
    print(f"{description}: {done}", file=sys.stderr, flush=True)
