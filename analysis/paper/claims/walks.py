"""Walks: series of walking noise by point, and pairs of series that differ in one setting."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from analysis.figures.layout.families import Member, grouped, settings_key
from analysis.midpoints.study import FittedSeries, Study
from analysis.paper.claims.claim import Case
from analysis.runs.series import Settings
from walking_noise import RunConfig
from walking_noise.models.point import Point

POINT = "noise.point"


@dataclass(frozen=True, eq=False)
class Walk:
    """Series of walking noise that differ only in the noise point.

    Attributes
    ----------
    settings
        Settings that the series share; the noise point is None.
    at
        Number of the point -> series, in the order of the series.
    """

    settings: Settings
    at: dict[int, FittedSeries]

    @property
    def points(self) -> tuple[Point, ...]:
        """The model's noise points, including points without a series."""
        return next(iter(self.at.values())).series.points

    @cached_property
    def log_mu(self) -> pd.DataFrame:
        """log10 of the midpoints: (repetitions, points), NaN without a midpoint.

        See :func:`log_midpoints`.
        """
        midpoints = {point: log_midpoints(each) for point, each in self.at.items()}
        return pd.DataFrame(midpoints).reindex(columns=range(len(self.points)))

    @property
    def whole(self) -> pd.DataFrame:
        """:attr:`log_mu` of the repetitions that have a midpoint at every point."""
        return self.log_mu.dropna()

    @cached_property
    def beyond(self) -> pd.DataFrame:
        """Edge of the sampled levels beyond which a midpoint lies: 1 for the highest, -1 for the lowest, 0 for none."""
        sides = {point: each.fit.repetitions.beyond() for point, each in self.at.items()}
        return pd.DataFrame(sides).reindex(index=self.log_mu.index, columns=self.log_mu.columns).fillna(0)

    @property
    def resolved(self) -> pd.DataFrame:
        """:attr:`whole` without the repetitions in which two midpoints lie beyond the same edge, in unknown order."""
        same_edge = ((self.beyond > 0).sum(axis=1) > 1) | ((self.beyond < 0).sum(axis=1) > 1)
        return self.whole[~same_edge.reindex(self.whole.index)]

    @property
    def note(self) -> str:
        """Number of midpoints beyond the sampled levels, and the points without a midpoint."""
        sides = [side for each in self.at.values() for side in each.fit.repetitions.beyond().values()]
        outside, total = sum(side != 0 for side in sides), len(sides)
        sentence = (
            f"midpoints that lie beyond the sampled levels and count as the highest or lowest one: {outside} of {total}"
        )
        notes = [sentence] if outside else []
        if missing := [str(point) for point in self.log_mu.columns[self.log_mu.isna().all()]]:
            notes.append(f"points without a midpoint: {', '.join(missing)}")
        return "; ".join(notes)


def walks(study: Study, **wanted: Any) -> list[Walk]:
    """Walks of a study with the settings ``wanted``. Two underscores in a name replace the dot."""
    walking = [each for each in _chosen(study, wanted) if isinstance(each.settings[POINT], int)]
    return [
        Walk({**members[0].settings, POINT: None}, {each.settings[POINT]: each for each in members})
        for members in grouped(walking, [POINT])
    ]


def everywhere(study: Study, **wanted: Any) -> list[FittedSeries]:
    """Series under global noise with the settings ``wanted``. Two underscores in a name replace the dot."""
    return _chosen(study, {**wanted, POINT: "global"})


NOT_IN_THE_PAPER = (
    "noise.training_std", "noise.training_std_mul", "noise.training_std_add", "noise.target", "noise.unit",
    "noise.redraw", "noise.training_redraw", "noise.executions", "training.weight_clip_std", "evaluation.recalibrate",
    "distillation.soft_label_share", "distillation.initialise", "model.hidden", "training.weight_decay",
)  # fmt: skip
"""Settings that have their defaults in the Walking Noise papers."""


def _chosen(study: Study, wanted: dict[str, Any]) -> list[FittedSeries]:
    """Series with used runs and the settings ``wanted``."""
    settings, default = {name.replace("__", "."): value for name, value in wanted.items()}, RunConfig().to_flat()
    return [
        each for each in study.fitted_series
        if len(each.series.used) and all(each.settings[name] == value for name, value in settings.items())
        and all(each.settings[name] == default[name] for name in NOT_IN_THE_PAPER)
    ]  # fmt: skip


def pairs(members: Iterable[Member], name: str, first: Any, second: Any) -> Iterator[tuple[Member, Member]]:
    """Pairs that differ only in the setting ``name``: ``first`` in one and ``second`` in the other."""
    listed = list(members)
    others = {settings_key(each, [name]): each for each in listed if each.settings[name] == second}
    for each in listed:
        if each.settings[name] == first and (partner := others.get(settings_key(each, [name]))) is not None:
            yield each, partner


def gains(first: Walk, second: Walk) -> pd.DataFrame:
    """log10 of the ratio of the midpoints of two walks: (repetitions, points).

    A point is left out if, in some repetition, both midpoints lie beyond the same edge of the levels: the higher one is
    unknown.
    """
    unknown = (first.beyond != 0) & (first.beyond == second.beyond.reindex_like(first.beyond))
    return (first.log_mu - second.log_mu).loc[:, ~unknown.any()]


def case(values: Iterable[float], *members: Walk | FittedSeries, note: str = "") -> Case:
    """Case of some series with the statistic ``values``, one per repetition; NaN where a repetition lacks runs."""
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
    """Repetition -> log10 of its midpoint.

    The midpoint of a curve that never falls, or falls beyond the sampled levels, counts as the highest level. That of a
    curve that is always at chance accuracy, or falls before the lowest level, counts as the lowest level. Other fits
    without a midpoint are left out.
    """
    repetitions, edges = each.fit.repetitions, {1: each.fit.highest, -1: each.fit.lowest}
    beyond = {name: math.log10(edges[side]) for name, side in repetitions.beyond().items() if side}
    logs = beyond | repetitions.logs
    return pd.Series({name: logs[name] for name in repetitions.outcomes if name in logs}, dtype=float)
