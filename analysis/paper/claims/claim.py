"""What a claim of the papers is, and the rule by which runs decide it."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from analysis.labels import format_number
from analysis.midpoints.midpoint import t_interval
from analysis.midpoints.study import Study
from analysis.runs.series import Settings


class Verdict(StrEnum):
    """What the runs at hand say of a claim."""

    HOLDS = "holds"
    FAILS = "fails"
    NOT_MEASURED = "not measured"


RULE = (
    "The statistic of a claim is computed in each repetition by itself, for each data set and model (a case). Its 95 % "
    "t interval over the repetitions decides: inside the stated region the case holds, outside it fails; an interval "
    "that includes the border, and a case with fewer than two repetitions, decide nothing and count as not measured. A "
    "claim fails if a case fails, holds if a case holds and none fails, and is otherwise not measured."
)


@dataclass(frozen=True)
class Case:
    """A claim on one data set and model.

    Attributes
    ----------
    settings
        The settings of one of its series.
    values
        The statistic in each repetition.
    used, planned
        The number of runs of its series.
    note
        What a reader must know about it, or what is lacking.
    """

    settings: Settings
    values: Sequence[float]
    used: int = 0
    planned: int = 0
    note: str = ""

    @property
    def interval(self) -> tuple[float, float, float]:
        """The mean over the repetitions and the ends of its 95 % t interval."""
        return t_interval(self.values)


@dataclass(frozen=True)
class Claim:
    """A claim of the papers and how runs decide it.

    Attributes
    ----------
    text
        The claim in our own words.
    source
        Where the papers make it.
    statistic
        What is computed in each repetition, in words that follow "holds where".
    region
        The claim is true where the statistic lies between these two.
    needs
        The runs it takes.
    grids
        The files below ``seml_configs`` that plan them.
    cases
        The statistic for every data set and model that has such runs.
    """

    text: str
    source: str
    statistic: str
    region: tuple[float, float]
    needs: str
    grids: tuple[str, ...]
    cases: Callable[[Study], Iterable[Case]]

    @property
    def criterion(self) -> str:
        """The statistic and its region in words."""
        low, high = self.region
        if math.isinf(high):
            return f"{self.statistic} is above {format_number(low)}"
        if math.isinf(low):
            return f"{self.statistic} is below {format_number(high)}"
        return f"{self.statistic} is between {format_number(low)} and {format_number(high)}"

    def verdict(self, case: Case) -> Verdict:
        """What one case says, by :data:`RULE`."""
        _, low, high = case.interval
        if self.region[0] < low and high < self.region[1]:
            return Verdict.HOLDS
        return Verdict.FAILS if high < self.region[0] or low > self.region[1] else Verdict.NOT_MEASURED

    def overall(self, cases: Iterable[Case]) -> Verdict:
        """What all cases say together, by :data:`RULE`."""
        found = {self.verdict(case) for case in cases}
        return next((each for each in (Verdict.FAILS, Verdict.HOLDS) if each in found), Verdict.NOT_MEASURED)

    def deciding(self, cases: Sequence[Case]) -> Case | None:
        """Of the cases with an interval that share the overall verdict, the one closest to the border of the region."""
        overall = self.overall(cases)
        alike = [case for case in cases if self.verdict(case) == overall and math.isfinite(case.interval[1])]
        return min(alike, key=self._distance, default=None)

    def _distance(self, case: Case) -> float:
        _, low, high = case.interval
        return min(abs(end - border) for end in (low, high) for border in self.region)


Cases = Callable[[Study], Iterable[Case]]

ABOVE, BELOW = math.inf, -math.inf


def claim(
    *, source: str, statistic: str, region: tuple[float, float], needs: str, grids: Sequence[str]
) -> Callable[[Cases], Claim]:
    """Make the function that gives a claim's cases the claim. Its docstring is the text."""

    def made(cases: Cases) -> Claim:
        return Claim(inspect.getdoc(cases) or "", source, statistic, region, needs, tuple(grids), cases)

    return made
