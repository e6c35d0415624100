"""Memory limits: if a number of items does not fit in memory, half of it is the maximum from then on."""

from __future__ import annotations

import gc
import logging

import torch

log = logging.getLogger(__name__)


class MemoryLimits:
    """Maximum numbers of items that fit in memory, for kinds of items that have run out of memory."""

    def __init__(self) -> None:
        self._limits: dict[tuple[str, str], int] = {}

    def limit(self, kind: str, pack_key: str, wanted: int) -> int:
        """``wanted``, or the limit of this kind if that is lower."""
        return min(wanted, self._limits.get((kind, pack_key), wanted))

    def halve(self, kind: str, pack_key: str, tried: int) -> None:
        """Limit ``kind``, a noun in the plural, to half of ``tried`` items, which did not fit; log that in one line."""
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        half = self._limits[kind, pack_key] = (tried + 1) // 2
        if half < tried:
            log.warning("out of memory with %d %s at once; from now on at most %d", tried, kind, half)
