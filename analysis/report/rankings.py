"""Rankings of noise points and of networks by their midpoints: the answers on the first screen of the report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

import pandas as pd

from analysis.figures.layout.families import TRAININGS, Family, families
from analysis.intervals import UNKNOWN, Estimate
from analysis.labels import differing_settings, format_estimate, label, level_axis_label
from analysis.midpoints.contrasts import mean_ratio
from analysis.midpoints.flags import Flag
from analysis.midpoints.study import FittedSeries, Study
from analysis.report.overview import NETWORK
from analysis.tables.contrast_tables import POINT, Pair, Walk, pairs_of, walks_of

_LEAST_WALKS = 4
"""Smallest number of walks whose weakest points are counted."""
_MOST_PAIRS = 4
"""Largest number of contrasts of global noise with a sentence of their own. The table of contrasts has all."""


@dataclass(frozen=True)
class Row:
    """Row of a ranking: a noise point or a network.

    Attributes
    ----------
    name
        Name of the noise point, or text of the settings of the network.
    midpoints
        Midpoint for each training of the ranking.
    may_be_weakest
        Whether the row may be the weakest one at 95 %, for each training.
    """

    name: str
    midpoints: Sequence[Estimate]
    may_be_weakest: Sequence[bool]


@dataclass(frozen=True)
class Ranking:
    """Midpoints of the noise points of a network, or of several networks under global noise.

    Attributes
    ----------
    title
        Text of what the rows have in common.
    trainings
        Text of each training.
    axis
        Quantity of the level.
    rows
        The rows, the weakest one in the first training first.
    sentences
        Answers: the weakest row of each training with its certainty, and the effect of the training.
    weakest
        Series of the weakest row; None without a midpoint.
    weakest_points
        Names of the weakest noise point of each training that has one; none for networks.
    """

    title: str
    trainings: Sequence[str]
    axis: str
    rows: Sequence[Row]
    sentences: Sequence[str]
    weakest: FittedSeries | None
    weakest_points: Sequence[str] = ()


def rankings_of(study: Study) -> list[Ranking]:
    """Rankings of the noise points of each network, then of the networks under global noise by kind of noise."""
    walking = [_of_points(family) for family in families(walks_of(study.fitted_series), (*TRAININGS, POINT))]
    everywhere = [each for each in study.fitted_series if each.settings[POINT] == "global"]
    kinds: dict[str, list[FittedSeries]] = {}
    for each in everywhere:
        kinds.setdefault(each.settings["noise.kind"], []).append(each)
    return walking + [_of_networks(series) for series in kinds.values()]


def count_sentence(rankings: Sequence[Ranking]) -> str:
    """Sentence on how often each point is the weakest one of its walk; empty if there are few walks."""
    names = [_name_only(name) for each in rankings for name in each.weakest_points]
    if len(names) < _LEAST_WALKS:
        return ""
    listed = ", ".join(f"{name} in {count}" for name, count in Counter(names).most_common())
    return f"Lowest midpoint of the {len(names)} walks: {listed}."


def _name_only(point: str) -> str:
    """Name of a point without its number, which differs between models."""
    return point.partition(" ")[2] or point


def _of_points(family: Family[Walk]) -> Ranking:
    walks = family.members
    trainings = _trainings([walk.settings for walk in walks])
    midpoints = [{each.series.point_name: each.fit.mu for each in walk.series} for walk in walks]
    names = {name: None for each in midpoints for name in each}
    rows = [
        Row(name, [each.get(name, UNKNOWN) for each in midpoints], [name in walk.may_be_weakest for walk in walks])
        for name in names
    ]
    sentences = [_weakest(walk, training) for walk, training in zip(walks, trainings, strict=True)]
    pairs = pairs_of(each for walk in walks for each in walk.series)
    differing = _differing(pairs, TRAININGS)
    lowest = _lowest(walks[0])
    return Ranking(
        family.title, trainings, level_axis_label(walks[0].series[0].settings), _sorted(rows),
        [*sentences, *(_effect(pair, lowest, differing) for pair in pairs if pair.ratios)],
        next((each for each in walks[0].series if each.series.point_name == lowest), None),
        [name for name in map(_lowest, walks) if name],
    )  # fmt: skip


def _of_networks(series: Sequence[FittedSeries]) -> Ranking:
    grouped = families(series, TRAININGS)
    differing = differing_settings([each.settings for each in series])
    names = [name for name in differing if name not in TRAININGS] or list(NETWORK)
    training_of = dict(zip(series, _trainings([each.settings for each in series]), strict=True))
    trainings = list(dict.fromkeys(training_of.values()))
    rows = []
    for family in grouped:
        by_training = {training_of[each]: each.fit.mu for each in family.members}
        midpoints = [by_training.get(training, UNKNOWN) for training in trainings]
        rows.append(Row(label(family.members[0].settings, names), midpoints, [False] * len(trainings)))
    pairs = [pair for pair in pairs_of(series) if pair.ratios]
    differing = _differing(pairs, (*TRAININGS, *names))
    sentences = chain(_extremes(_sorted(rows), trainings), (_effect(pair, "global", differing) for pair in pairs))
    kind = label(series[0].settings, ["noise.kind"])
    known = [each for each in series if each.fit.mu.is_known]
    return Ranking(
        f"{kind[0].upper()}{kind[1:]} at all points", trainings, level_axis_label(series[0].settings), _sorted(rows),
        list(islice(sentences, 1 + _MOST_PAIRS)), min(known, key=lambda each: each.fit.mu.value, default=None),
    )  # fmt: skip


def _trainings(settings: Sequence[Any]) -> list[str]:
    """Text of each training: the settings of training in which some of these differ."""
    names = [name for name in differing_settings(settings) if name in TRAININGS] or ["noise.in_training"]
    return [label(each, names) for each in settings]


def _differing(pairs: Iterable[Pair], names: Iterable[str]) -> list[str]:
    """Those of the settings ``names`` in which some pairs differ."""
    settings = [pair.first.settings for pair in pairs]
    differing = differing_settings(settings) if settings else []
    return [name for name in names if name in differing]


def _sorted(rows: Iterable[Row]) -> list[Row]:
    """The rows, the lowest midpoint of the first training first, those without one last."""
    return sorted(rows, key=lambda row: [(each.value != each.value, each.value) for each in row.midpoints])


def _lowest(walk: Walk) -> str:
    """Name of the weakest point of a walk; empty if no point has a midpoint."""
    if walk.model:
        return str(walk.model.effects.idxmin())
    known = [each for each in walk.series if each.fit.mu.is_known]
    return min(known, key=lambda each: each.fit.mu.value).series.point_name if known else ""


def _weakest(walk: Walk, training: str) -> str:
    """Sentence on the weakest point of a walk and its certainty."""
    start, name = f"{training[0].upper()}{training[1:]}", _lowest(walk)
    if not name:
        return f"{start}: no point has a midpoint within the sampled levels."
    mu = next(each.fit.mu for each in walk.series if each.series.point_name == name)
    found = f"{start}: the weakest noise point is {name}, μ = {format_estimate(mu)}."
    if walk.model is None:
        return f"{found} Its certainty is unknown: that needs two points with two repetitions each."
    among = walk.may_be_weakest
    points = f"{len(walk.model.effects)} points"
    out = f" {_count(walk.left_out)} left out of the comparison." if walk.left_out else ""
    out += _coarse(walk)
    if len(among) == 1:
        return f"{found} With 95 % certainty it is the weakest of {points}.{out}"
    return f"{found} With 95 % certainty the weakest of {points} is one of {', '.join(map(str, among))}.{out}"


def _coarse(walk: Walk) -> str:
    """Sentence on the points with coarse levels, whose error the certainty does not include; empty without any."""
    coarse = [each for each in walk.series if Flag.LEVELS_TOO_COARSE in each.fit.flags]
    if not coarse:
        return ""
    where = f"{len(coarse)} of {len(walk.series)} points"
    found = f" That speaks of training seeds only: the levels are too coarse at {where}"
    if walk.settings["noise.kind"] == "quantisation":  # no levels lie between two numbers of bits
        return f"{found}."
    name = coarse[0].series.runs["collection"].iloc[0]
    return f"{found}; `walking-noise refine {name} --width 0.1` plans finer ones."


def _count(points: Sequence[str]) -> str:
    return f"{len(points)} point{'s' * (len(points) > 1)} without a midpoint in every repetition"


def _extremes(rows: Sequence[Row], trainings: Sequence[str]) -> Iterator[str]:
    known = [row for row in rows if row.midpoints[0].is_known]
    if known:
        low, high = known[0], known[-1]
        more = f"; highest: {high.name}, μ = {format_estimate(high.midpoints[0])}" if high is not low else ""
        start = f"{trainings[0][0].upper()}{trainings[0][1:]}"
        yield f"{start}: lowest midpoint: {low.name}, μ = {format_estimate(low.midpoints[0])}{more}."


def _effect(pair: Pair, at: str, differing: Sequence[str]) -> str:
    """Sentence on the factor by which a training changes the midpoint at one point, and over all points.

    ``differing`` are the settings that tell the pairs apart.
    """
    assert pair.ratios is not None
    first, second = (label(walk.settings, [pair.name]) for walk in (pair.first, pair.second))
    where = label(pair.first.settings, [name for name in differing if name != pair.name])
    start = f"{first[0].upper()}{first[1:]} instead of {second}" + (f" ({where})" if where else "")
    ratios = pair.ratios.ratios()
    parts = [f"{_ratio(ratios, at)} times as high at {at}"] if at in ratios.index and at != "global" else []
    if at == "global":
        parts = [f"{_ratio(ratios, at)} times as high"]
    elif len(ratios) > 1:
        mean = _ratio(mean_ratio(pair.differences).ratios(), "mean")
        parts.append(f"{mean} times as high in the geometric mean over {len(ratios)} points")
    return f"{start}: the midpoint is {', and '.join(parts)}."


def _ratio(ratios: pd.DataFrame, name: str) -> str:
    value, low, high = (float(ratios[column][name]) for column in ("ratio", "low", "high"))
    return format_estimate(Estimate(value, low, high))
