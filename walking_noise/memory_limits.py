"""What fits in memory, where the estimate was too high: halved until it does, and remembered."""

from __future__ import annotations

import gc
import logging

import torch

log = logging.getLogger(__name__)

_SAID = ("out of memory", "can't allocate memory", "ALLOC_FAILED")
"""By CUDA and its allocator, by the CPU's allocator, and by cuBLAS and cuDNN."""


def ran_out_of_memory(error: Exception) -> bool:
    """Whether the memory of the device, or of the machine, did not suffice."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _SAID)


class MemoryLimits:
    """How many fit into the memory at once, of those of which once too many were tried; by what they are."""

    def __init__(self) -> None:
        self._most: dict[tuple[str, str], int] = {}

    def most(self, what: str, pack_key: str, wanted: int) -> int:
        """As many as wanted, or as fit."""
        return min(wanted, self._most.get((what, pack_key), wanted))

    def halve(self, what: str, pack_key: str, tried: int) -> None:
        """So many did not fit: half of them will be tried from now on, which is said in one line.

        Parameters
        ----------
        what
            In words, in the plural.
        """
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        half = self._most[what, pack_key] = (tried + 1) // 2
        if half < tried:
            log.warning("%d %s at once need more memory than there is: from now on %d at most", tried, what, half)
