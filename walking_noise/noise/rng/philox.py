"""Philox4x32-10, a counter-based random number generator; reference in torch's integer arithmetic.

A counter-based generator is a function of a counter and a key. It has no state, so draws can be made in any order and
on any device (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
"""

from __future__ import annotations

from torch import Tensor

ROUNDS = 10
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
WEYL = (0x9E3779B9, 0xBB67AE85)
"""Constants added to the key after every round: the golden ratio and √3 - 1, in units of 2⁻³²."""

WORD = 0xFFFFFFFF

Words = tuple[Tensor, Tensor, Tensor, Tensor]


def philox(counter: Words, key: tuple[Tensor, Tensor]) -> Words:
    """Four random 32-bit words for each counter of four words and key of two words; int64 tensors that broadcast."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(ROUNDS):
        high0, low0 = _product(c0, MULTIPLIERS[0])
        high1, low1 = _product(c2, MULTIPLIERS[1])
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0, k1 = (k0 + WEYL[0]) & WORD, (k1 + WEYL[1]) & WORD
    return c0, c1, c2, c3


def words(number: Tensor) -> tuple[Tensor, Tensor]:
    """The lower and the upper 32 bits of 64-bit numbers."""
    return number & WORD, (number >> 32) & WORD


def _product(word: Tensor, multiplier: int) -> tuple[Tensor, Tensor]:
    """The upper and the lower half of a product of 32-bit words; an overflow of int64 does not change its 64 bits."""
    low, high = words(word * multiplier)
    return high, low
