"""Why a series has no midpoint noise level, or why its midpoint is in doubt."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from string import ascii_lowercase


class Flag(StrEnum):
    """Something that a reader must know about a midpoint noise level, or why there is none."""

    NO_COMPLETED_RUNS = "no completed runs"
    ONLY_OVERFLOW = "every completed run overflowed"
    TOO_FEW_LEVELS = "too few levels for a curve"
    ALWAYS_AT_FLOOR = "at the floor at every level"
    NEVER_FALLS = "never falls"
    FIT_FAILED = "the fit failed"
    BELOW_RANGE = "midpoint below the sampled levels"
    ABOVE_RANGE = "midpoint above the sampled levels"
    PLATEAU_UNSAMPLED = "a plateau lies outside the sampled levels"
    PARTIAL_FALL = "falls only in part: half of the way to a_min"
    NO_LEVEL_ON_SLOPE = "no level on the slope: known to the spacing of the levels"
    PLATEAU = "falls over a plateau: μ is that of one logistic over the whole fall"
    MISFIT = "the curve has another shape"
    REPETITION_WITHOUT_MIDPOINT = "some repetitions have no midpoint"
    ONE_REPETITION = "one repetition: no interval"
    TWO_REPETITIONS = "two repetitions: wide interval"


FEW_REPETITIONS = frozenset({Flag.ONE_REPETITION, Flag.TWO_REPETITIONS})


def notes(flags: Iterable[Flag]) -> list[str]:
    """Explain the letters of these flags: one line per distinct flag, in the order of :class:`Flag`."""
    there = set(flags)
    return [f"({mark(flag)}) {flag}." for flag in Flag if flag in there]


def mark(flag: Flag) -> str:
    """The letter that stands for a flag where there is no room for words."""
    return ascii_lowercase[list(Flag).index(flag)]
