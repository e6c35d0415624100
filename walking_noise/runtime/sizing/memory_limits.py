"""Memory limits: if a number of items does not fit in memory, half of it is the maximum from then on."""

from __future__ import annotations

import gc
import logging
from collections.abc import Mapping

TRAINED = "networks trained"
"""The kind of items that are the networks of a pack."""

log = logging.getLogger(__name__)


def half_of(tried: int) -> int:
    """The maximum after ``tried`` items did not fit."""
    return (tried + 1) // 2


class MemoryLimits:
    """Maximum numbers of items that fit in memory, for kinds of items that have run out of memory.

    ``trained`` has known limits of the networks of a pack, by pack key.
    """

    def __init__(self, trained: Mapping[str, int] | None = None) -> None:
        self._limits = {(TRAINED, key): limit for key, limit in (trained or {}).items()}

    def limit(self, kind: str, pack_key: str, wanted: int) -> int:
        """``wanted``, or the limit of this kind if that is lower."""
        return min(wanted, self._limits.get((kind, pack_key), wanted))

    def halve(self, kind: str, pack_key: str, tried: int) -> None:
        """Limit ``kind``, a noun in the plural, to half of ``tried`` items, which did not fit; log that in one line."""
        import torch

        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        half = self._limits[kind, pack_key] = half_of(tried)
        if half < tried:
            log.warning("out of memory with %d %s at once; from now on at most %d", tried, kind, half)
