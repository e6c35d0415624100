"""Partition of a sequence into parts of nearly equal length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")


def split_evenly(items: Sequence[T], size: int) -> Iterator[list[T]]:
    """Split ``items`` into as few parts of at most ``size`` items as possible; their lengths differ by at most one."""
    parts = -(-len(items) // size)
    for part in range(parts):
        yield list(items[len(items) * part // parts : len(items) * (part + 1) // parts])
