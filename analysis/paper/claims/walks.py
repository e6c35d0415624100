"""The series that claims compare: walking noise point by point, and pairs that differ in one setting."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from analysis.figures.layout.families import HasSettings, Member
from analysis.midpoints.flags import Flag
from analysis.midpoints.study import FittedSeries, Study
from analysis.paper.claims.claim import Case
from analysis.runs.series import Settings

POINT = "noise.point"

_HIGHER = frozenset({Flag.NEVER_FALLS, Flag.ABOVE_RANGE})
_LOWER = frozenset({Flag.ALWAYS_AT_FLOOR, Flag.BELOW_RANGE})


@dataclass(frozen=True, eq=False)
class Walk:
    """The series of walking noise that differ only in the noise point.

    Attributes
    ----------
    settings
        What they share; the noise point is None.
    at
        The series by the number of the point, in their order.
    """

    settings: Settings
    at: dict[int, FittedSeries]

    @property
    def points(self) -> tuple[str, ...]:
        """The names of the model's noise points, those without a series too."""
        return next(iter(self.at.values())).series.points

    @cached_property
    def log_mu(self) -> pd.DataFrame:
        """log10 of the midpoints: (repetitions, points), NaN where a fit failed or a run is lacking.

        See :func:`log_midpoints`.
        """
        found = {point: log_midpoints(each) for point, each in self.at.items()}
        return pd.DataFrame(found).reindex(columns=range(len(self.points)))

    @property
    def whole(self) -> pd.DataFrame:
        """:attr:`log_mu` of the repetitions that have a midpoint at every point."""
        return self.log_mu.dropna()

    @cached_property
    def beyond(self) -> pd.DataFrame:
        """At which edge of the sampled levels a midpoint counts: 1 at the highest, -1 at the lowest, 0 at none."""
        found = {
            point: {name: side(outcome) for name, outcome in each.fit.repetitions.outcomes.items()}
            for point, each in self.at.items()
        }
        return pd.DataFrame(found).reindex(index=self.log_mu.index, columns=self.log_mu.columns).fillna(0)

    @property
    def resolved(self) -> pd.DataFrame:
        """:attr:`whole` without the repetitions in which two midpoints lie beyond the same edge, in unknown order."""
        alike = ((self.beyond > 0).sum(axis=1) > 1) | ((self.beyond < 0).sum(axis=1) > 1)
        return self.whole[~alike.reindex(self.whole.index)]

    @property
    def note(self) -> str:
        """How many midpoints lie beyond the sampled levels, and what is lacking."""
        outside = sum(count_beyond_levels(each) for each in self.at.values())
        total = sum(each.fit.repetitions.total for each in self.at.values())
        notes = [f"{outside} of {total} midpoints beyond the levels count as the level at the edge"] if outside else []
        if lacking := [str(point) for point in self.log_mu.columns[self.log_mu.isna().all()]]:
            notes.append(f"no midpoint at points {', '.join(lacking)}")
        return "; ".join(notes)


def walks(study: Study, **wanted: Any) -> list[Walk]:
    """The walks of a study, with the settings ``wanted``; two underscores stand for the dot in a name."""
    chosen = {name.replace("__", "."): value for name, value in wanted.items()}
    groups: dict[str, dict[int, FittedSeries]] = {}
    for each in study.fitted_series:
        walking = isinstance(each.settings[POINT], int) and len(each.series.used)
        if walking and all(each.settings[name] == value for name, value in chosen.items()):
            groups.setdefault(key(each, [POINT]), {})[each.settings[POINT]] = each
    return [Walk({**next(iter(at.values())).settings, POINT: None}, at) for at in groups.values()]


def everywhere(study: Study, **wanted: Any) -> list[FittedSeries]:
    """The series under global noise, with the settings ``wanted``."""
    chosen = {name.replace("__", "."): value for name, value in wanted.items()} | {POINT: "global"}
    return [
        each for each in study.fitted_series
        if len(each.series.used) and all(each.settings[name] == value for name, value in chosen.items())
    ]  # fmt: skip


def pairs(members: Iterable[Member], name: str, first: Any, second: Any) -> Iterator[tuple[Member, Member]]:
    """Pairs that differ in one setting, which is ``first`` in the one and ``second`` in the other."""
    listed = list(members)
    others = {key(each, [name]): each for each in listed if each.settings[name] == second}
    for each in listed:
        if each.settings[name] == first and (partner := others.get(key(each, [name]))) is not None:
            yield each, partner


def key(member: HasSettings, leave_out: Iterable[str]) -> str:
    """Equal for members whose settings agree in all but ``leave_out``."""
    hidden = set(leave_out)
    return repr([(name, value) for name, value in sorted(member.settings.items()) if name not in hidden])


def gains(first: Walk, second: Walk) -> pd.DataFrame:
    """log10 of the midpoints of the one over those of the other: (repetitions, points).

    Without the points at which both lie beyond the same edge of the levels in some repetition: which one is higher is
    not known there.
    """
    unknown = (first.beyond != 0) & (first.beyond == second.beyond.reindex_like(first.beyond))
    return (first.log_mu - second.log_mu).loc[:, ~unknown.any()]


def case(values: Iterable[float], *members: Walk | FittedSeries, note: str = "") -> Case:
    """A case of the statistic ``values`` (in each repetition, NaN where it lacks something) of some series."""
    series = [each for member in members for each in (member.at.values() if isinstance(member, Walk) else [member])]
    notes = [note, *(member.note for member in members if isinstance(member, Walk))]
    return Case(
        settings=members[0].settings,
        values=[float(value) for value in values if not math.isnan(value)],
        used=sum(len(each.series.used) for each in series),
        planned=sum(len(each.series.runs) for each in series),
        note="; ".join(dict.fromkeys(text for text in notes if text)),
    )


def log_midpoints(each: FittedSeries) -> pd.Series[float]:
    """log10 of each repetition's midpoint, by the repetition.

    A curve that never falls, or falls beyond the sampled levels, counts as the highest level; one that is always at the
    floor, or falls before the lowest level, as the lowest. Other fits without a midpoint are left out.
    """
    edges = {1: each.fit.highest, -1: each.fit.lowest, 0: math.nan}
    found = {
        name: edges[side(outcome)] if isinstance(outcome, Flag) else outcome
        for name, outcome in each.fit.repetitions.outcomes.items()
    }
    return pd.Series({name: math.log10(level) for name, level in found.items() if level > 0}, dtype=float)


def count_beyond_levels(each: FittedSeries) -> int:
    """The number of repetitions whose midpoint counts as a level at the edge."""
    return sum(side(outcome) != 0 for outcome in each.fit.repetitions.outcomes.values())


def side(outcome: float | Flag) -> int:
    """Beyond which edge of the sampled levels a midpoint lies: 1 for the highest, -1 for the lowest, 0 for none."""
    if not isinstance(outcome, Flag):
        return 0
    return (outcome in _HIGHER) - (outcome in _LOWER)
