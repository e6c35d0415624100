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
    FIT_FAILED = "the fit failed"
    BELOW_RANGE = "midpoint below the sampled levels"
    ABOVE_RANGE = "midpoint above the sampled levels"
    PLATEAU_UNSAMPLED = "a plateau lies outside the sampled levels"
    PARTIAL_FALL = "does not fall to chance accuracy: μ is halfway to a_min"
    NO_LEVEL_ON_SLOPE = "no level on the slope: μ is known only to within the spacing of the levels"
    PLATEAU = "falls in two steps: μ is that of one logistic over the whole fall"
    MISFIT = "the accuracies do not follow a logistic"
    REPETITION_WITHOUT_MIDPOINT = "some repetitions have no midpoint"
    ONE_REPETITION = "one repetition: no interval"
    TWO_REPETITIONS = "two repetitions: wide interval"


FEW_REPETITIONS = frozenset({Flag.ONE_REPETITION, Flag.TWO_REPETITIONS})


def flag_notes(flags: Iterable[Flag]) -> list[str]:
    """Explanations of the letters of these flags: one line per distinct flag, in the order of :class:`Flag`."""
    distinct = set(flags)
    return [f"({flag_letter(flag)}) {flag}." for flag in Flag if flag in distinct]


def flag_letter(flag: Flag) -> str:
    """Letter that represents a flag where its text does not fit."""
    return ascii_lowercase[list(Flag).index(flag)]
