"""Memory limits: pack sizes that ran out of memory, halved and remembered."""

from __future__ import annotations

import gc
import logging

import torch

log = logging.getLogger(__name__)


class MemoryLimits:
    """The largest number of items that fit in memory, for each kind of item that once ran out of it."""

    def __init__(self) -> None:
        self._limits: dict[tuple[str, str], int] = {}

    def limit(self, kind: str, pack_key: str, wanted: int) -> int:
        """``wanted``, or fewer if so many are known not to fit."""
        return min(wanted, self._limits.get((kind, pack_key), wanted))

    def halve(self, kind: str, pack_key: str, tried: int) -> None:
        """Remember that ``tried`` items did not fit, limit their kind to half of that, and log it in one line.

        Parameters
        ----------
        kind
            What the items are, in words, in the plural.
        """
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        half = self._limits[kind, pack_key] = (tried + 1) // 2
        if half < tried:
            log.warning("out of memory with %d %s at once; from now on at most %d", tried, kind, half)
