"""Flags of a midpoint noise level: reasons why it is missing or in doubt."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from string import ascii_lowercase


class Flag(StrEnum):
    """Reason why a midpoint noise level is missing or in doubt. The values are stored in CSV files."""

    NO_COMPLETED_RUNS = "no completed runs"
    ONLY_OVERFLOW = "every completed run overflowed"
    TOO_FEW_LEVELS = "too few levels for a curve"
    ALWAYS_AT_FLOOR = "at chance accuracy at every level"
    NEVER_FALLS = "never falls"
    BELOW_RANGE = "midpoint below the sampled levels"
    ABOVE_RANGE = "midpoint above the sampled levels"
    PLATEAU_UNSAMPLED = "a plateau lies outside the sampled levels"
    PARTIAL_FALL = "does not fall to chance accuracy: half of its own fall is at another level"
    LEVELS_TOO_COARSE = "levels too coarse for the slope: fewer than four levels lie on it"
    PLATEAU = "falls in two steps: μ is the level where half is lost in all"
    DEAD_RUNS = "dead repetitions: chance accuracy at a level where the others have lost less than half"
    REPETITION_WITHOUT_MIDPOINT = "some repetitions have no midpoint"
    FIT_FAILED = "the weighted fit failed"
    MISFIT = "the accuracies do not follow the logistic of the weighted fit"
    ONE_REPETITION = "one repetition: no interval"
    TWO_REPETITIONS = "two repetitions"
    ABSORBED = "no midpoint: trained with the same static offsets, which a bias can absorb"


ABOVE = frozenset({Flag.NEVER_FALLS, Flag.ABOVE_RANGE})
"""Flags of a repetition whose midpoint lies above the sampled levels."""

BELOW = frozenset({Flag.ALWAYS_AT_FLOOR, Flag.BELOW_RANGE})
"""Flags of a repetition whose midpoint lies below the sampled levels."""

MINOR = frozenset({Flag.ONE_REPETITION, Flag.TWO_REPETITIONS, Flag.LEVELS_TOO_COARSE, Flag.FIT_FAILED, Flag.MISFIT})
"""Flags that leave the midpoint sound: few repetitions, coarse levels, and flags of the weighted fit only."""


def flag_notes(flags: Iterable[Flag]) -> list[str]:
    """Explanations of the letters of these flags: one line per distinct flag, in the order of :class:`Flag`."""
    distinct = set(flags)
    return [f"({flag_letter(flag)}) {flag}." for flag in Flag if flag in distinct]


def flag_letter(flag: Flag) -> str:
    """Letter that represents a flag where its text does not fit."""
    return ascii_lowercase[list(Flag).index(flag)]
