"""Random numbers as functions of a run's own seed.

Every stream is keyed by the run's seed, a name and the numbers that say where in the run it is used (epoch, step, noise
point, block of samples). No stream depends on how many runs train together or on what was drawn before.
"""

from __future__ import annotations

import zlib
from functools import lru_cache

import torch

_MASK = (1 << 64) - 1


def _mix(value: int) -> int:
    """The finaliser of SplitMix64 (Steele, Lea and Flood 2014): a bijection of 64-bit numbers."""
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)


@lru_cache(maxsize=4096)
def _root(seed: int, stream: str) -> int:
    return _mix((_mix((seed + 0x9E3779B97F4A7C15) & _MASK) ^ zlib.crc32(stream.encode())) & _MASK)


def key(seed: int, stream: str, *numbers: int) -> int:
    """A 64-bit key of ``(seed, stream, numbers)``."""
    state = _root(seed, stream)
    for number in numbers:
        state = _mix((state + 0x9E3779B97F4A7C15 * (number + 1)) & _MASK)
    return state


def generator(seed: int, stream: str, *numbers: int) -> torch.Generator:
    """A CPU generator at the start of the stream ``(seed, stream, numbers)``.

    torch's CPU generator uses the lower 32 bits of the key. Of the half million streams of a long run some thirty pairs
    are then equal by chance, far apart in the run.
    """
    return torch.Generator().manual_seed(key(seed, stream, *numbers))
