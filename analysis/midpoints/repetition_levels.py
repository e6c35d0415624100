"""Levels of the repetitions of a series, their geometric mean, and its interval or bound."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from analysis.intervals import UNKNOWN, Estimate, Method, VariancePrior, t_interval
from analysis.midpoints.flags import ABOVE, BELOW, Flag


@dataclass(frozen=True)
class RepetitionLevels:
    """Level at which each repetition has lost a share of its accuracy.

    Attributes
    ----------
    outcomes
        Repetition name -> its level, or the reason why it has none within the sampled levels.
    lowest, highest
        Lowest and highest sampled level above 0; inf and -inf if there is none.
    """

    outcomes: Mapping[str, float | Flag]
    lowest: float = math.inf
    highest: float = -math.inf

    @property
    def logs(self) -> dict[str, float]:
        """Repetition name -> log10 of its level, for repetitions that have one within the sampled levels."""
        return {name: math.log10(level) for name, level in self.outcomes.items() if not isinstance(level, Flag)}

    def beyond(self) -> dict[str, int]:
        """Repetition name -> 1 if its level lies above the sampled levels, -1 if below, 0 otherwise."""
        return {
            name: 0 if not isinstance(outcome, Flag) else (outcome in ABOVE) - (outcome in BELOW)
            for name, outcome in self.outcomes.items()
        }

    def estimate(self, prior: VariancePrior | None = None) -> Estimate:
        """Geometric mean over the repetitions with its interval, or a bound without one.

        Levels beyond the sampled ones count as the highest or lowest sampled level in a bound.
        """
        logs, sides = list(self.logs.values()), list(self.beyond().values())
        if 1 in sides and -1 in sides:
            return UNKNOWN
        if any(sides):
            edge, bound = (self.highest, "≥") if 1 in sides else (self.lowest, "≤")
            beyond = [math.log10(edge) for side in sides if side]
            return Estimate(10 ** float(np.mean([*logs, *beyond])), bound=bound)
        value, low, high = (10**each for each in t_interval(logs, prior))
        method = Method.NONE if math.isnan(low) else Method.MODERATED if prior else Method.T
        return Estimate(value, low, high, method)
