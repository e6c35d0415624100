"""Claim of the papers, its cases, and the rule that decides its verdict."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from analysis.intervals import t_interval
from analysis.labels import format_number
from analysis.midpoints.study import Study
from analysis.runs.series import Settings


class Verdict(StrEnum):
    """Verdict of the runs of a study on a claim. The values are stored in CSV files."""

    HOLDS = "holds"
    FAILS = "fails"
    NOT_MEASURED = "not measured"


RULE = (
    "The statistic of a claim is computed for each repetition of each case (a data set and model). The 95 % t interval "
    "over the repetitions decides: the case holds if the interval lies inside the stated region, fails if it lies "
    "outside, and is not measured if the interval includes the border or there are fewer than two repetitions. A claim "
    "fails if a case fails, holds if a case holds and none fails, and is otherwise not measured."
)


@dataclass(frozen=True)
class Case:
    """Case of a claim: one data set and model.

    Attributes
    ----------
    settings
        Settings of one of its series.
    values
        The statistic of each repetition.
    used, planned
        Numbers of runs of its series.
    note
        Remark for the reader, for example on missing midpoints.
    """

    settings: Settings
    values: Sequence[float]
    used: int = 0
    planned: int = 0
    note: str = ""

    @property
    def interval(self) -> tuple[float, float, float]:
        """Mean over the repetitions and the ends of its 95 % t interval."""
        return t_interval(self.values)


@dataclass(frozen=True)
class Claim:
    """Claim of the papers and the statistic that decides it.

    Attributes
    ----------
    text
        The claim in our own words.
    source
        Paper, figure or table that makes the claim.
    statistic
        Text of the statistic that is computed for each repetition. It follows "holds where".
    region
        Bounds of the statistic between which the claim is true.
    needs
        Text of the runs that the claim needs.
    grids
        Files below ``seml_configs`` that plan these runs.
    cases
        Function that computes the statistic for every data set and model with these runs.
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
        """Text of the statistic and its region."""
        low, high = self.region
        if math.isinf(high):
            return f"{self.statistic} is above {format_number(low)}"
        if math.isinf(low):
            return f"{self.statistic} is below {format_number(high)}"
        return f"{self.statistic} is between {format_number(low)} and {format_number(high)}"

    def verdict(self, case: Case) -> Verdict:
        """Verdict of one case by :data:`RULE`."""
        _, low, high = case.interval
        if self.region[0] < low and high < self.region[1]:
            return Verdict.HOLDS
        return Verdict.FAILS if high < self.region[0] or low > self.region[1] else Verdict.NOT_MEASURED

    def overall(self, cases: Iterable[Case]) -> Verdict:
        """Verdict of all cases by :data:`RULE`."""
        verdicts = {self.verdict(case) for case in cases}
        return next((each for each in (Verdict.FAILS, Verdict.HOLDS) if each in verdicts), Verdict.NOT_MEASURED)

    def deciding(self, cases: Sequence[Case]) -> Case | None:
        """Among the cases that have an interval and the claim's verdict, the one closest to the region's border."""
        overall = self.overall(cases)
        candidates = [case for case in cases if self.verdict(case) == overall and math.isfinite(case.interval[1])]
        return min(candidates, key=self._distance, default=None)

    def _distance(self, case: Case) -> float:
        _, low, high = case.interval
        return min(abs(end - border) for end in (low, high) for border in self.region)


Cases = Callable[[Study], Iterable[Case]]

ABOVE, BELOW = math.inf, -math.inf


def claim(
    *, source: str, statistic: str, region: tuple[float, float], needs: str, grids: Sequence[str]
) -> Callable[[Cases], Claim]:
    """Decorator that turns a function that yields cases into a claim. Its docstring is the text of the claim."""

    def make_claim(cases: Cases) -> Claim:
        return Claim(inspect.getdoc(cases) or "", source, statistic, region, needs, tuple(grids), cases)

    return make_claim
