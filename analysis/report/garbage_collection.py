"""Pause of Python's garbage collection, while many objects are made that all stay in use."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def garbage_collection_paused() -> Iterator[None]:
    """Context in which Python does not search its objects for reference cycles."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
