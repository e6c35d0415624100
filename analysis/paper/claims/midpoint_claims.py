"""Claims on midpoint noise levels. A margin of 0.1 decades is a factor of 1.26."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pandas as pd

from analysis import published_results
from analysis.midpoints.study import Study
from analysis.paper.claims.claim import ABOVE, BELOW, Case, claim
from analysis.paper.claims.walks import Walk, case, everywhere, gains, log_midpoints, pairs, walks
from analysis.paper.planned_grids import COARSE

MARGIN = 0.1
"""Smallest difference of midpoints, in decades, that counts."""

WALKING = ("walking/mnist.yaml", "walking/cifar10.yaml", "walking/gsc.yaml")
CLAMPED = ("walking_clamped/mnist.yaml", "walking_clamped/cifar10.yaml", "walking_clamped/gsc.yaml")
GLOBAL = ("table1/mnist.yaml", "table1/cifar10.yaml", "table1/gsc.yaml")

_AT_EVERY_POINT = "additive walking noise at every point, trained with noise"
_FREE = {"noise__kind": "additive", "noise__in_training": True, "training__weight_clamp": None}


@claim(
    source="v1, figures 2, 10, 11; v2, abstract",
    statistic="the mean over the points of log10(μ trained with noise / μ at inference only)",
    region=(MARGIN, ABOVE),
    needs="additive walking noise, both trained with noise and with noise at inference only",
    grids=(*WALKING, COARSE),
)
def training_raises(study: Study) -> Iterator[Case]:
    """Training with noise raises the midpoint noise level."""
    chosen = walks(study, noise__kind="additive", training__weight_clamp=None)
    for trained, untrained in pairs(chosen, "noise.in_training", True, False):
        yield _case(gains(trained, untrained), trained, untrained)


@claim(
    source="v1, abstract",
    statistic="log10(μ trained with noise / μ at inference only)",
    region=(MARGIN, ABOVE),
    needs="additive or multiplicative global noise, both trained with noise and with noise at inference only",
    grids=(*GLOBAL, COARSE),
)
def training_raises_global(study: Study) -> Iterator[Case]:
    """Training with noise raises the midpoint of global noise, too."""
    free = everywhere(study, training__weight_clamp=None)
    chosen = [each for each in free if each.settings["noise.kind"] in published_results.KINDS]
    for trained, untrained in pairs(chosen, "noise.in_training", True, False):
        yield case(log_midpoints(trained) - log_midpoints(untrained), trained, untrained)


@claim(
    source="v1, figures 2, 10, 11",
    statistic="the mean log10 μ of the points after conv, linear and BatchNorm layers, minus that of the other points, "
    "input and output left out,",
    region=(MARGIN, ABOVE),
    needs=f"{_AT_EVERY_POINT}, with BatchNorm",
    grids=(*WALKING, COARSE),
)
def parameters_are_robust(study: Study) -> Iterator[Case]:
    """With BatchNorm, the points after layers with parameters are the most robust."""
    for walk in walks(study, **_FREE, model__batch_norm=True):
        yield case(_lead_of_parameters(walk), walk)


@claim(
    source="v1, figures 2, 10, 11",
    statistic="the lead (mean log10 μ of the points after layers with parameters, minus that of the other points, "
    "input and output left out) with clamped weights, divided by the lead with free weights, for repetitions in which "
    f"the latter exceeds {MARGIN},",
    region=(BELOW, 0.5),
    needs=f"{_AT_EVERY_POINT}, with BatchNorm, with free and with clamped weights",
    grids=(*WALKING, *CLAMPED, COARSE),
)
def clamping_takes_the_lead(study: Study) -> Iterator[Case]:
    """With BatchNorm, clamping removes the lead of the points after layers with parameters."""
    for free, clamped in _clamped_pairs(study, batch_norm=True):
        lead = _lead_of_parameters(free)
        yield case(_lead_of_parameters(clamped) / lead.where(lead > MARGIN), free, clamped)


@claim(
    source="v1, figures 2, 10, 11",
    statistic="the mean log10 μ of the points between the first and the last, minus that of the input (point 0),",
    region=(MARGIN, ABOVE),
    needs=_AT_EVERY_POINT,
    grids=(*WALKING, COARSE),
)
def first_is_weak(study: Study) -> Iterator[Case]:
    """The first layer is less robust than the layers between the first and the last."""
    for walk in walks(study, **_FREE):
        yield case(_between(walk) - walk.whole.iloc[:, 0], walk)


@claim(
    source="v1, figures 2, 10, 11",
    statistic="the mean log10 μ of the points between the first and the last, minus that of the last point,",
    region=(MARGIN, ABOVE),
    needs=_AT_EVERY_POINT,
    grids=(*WALKING, COARSE),
)
def last_is_weak(study: Study) -> Iterator[Case]:
    """The last layer is less robust than the layers between the first and the last."""
    for walk in walks(study, **_FREE):
        yield case(_between(walk) - walk.whole.iloc[:, -1], walk)


@claim(
    source="v1, figures 2, 10, 11",
    statistic="the mean over the points of |log10(μ with free weights / μ with clamped weights)|",
    region=(BELOW, 2 * MARGIN),
    needs=f"{_AT_EVERY_POINT}, without BatchNorm, with free and with clamped weights",
    grids=(*WALKING, *CLAMPED),
)
def clamping_hardly_matters(study: Study) -> Iterator[Case]:
    """Without BatchNorm, clamping hardly matters."""
    for free, clamped in _clamped_pairs(study, batch_norm=False):
        yield _case(gains(free, clamped).abs(), free, clamped)


@claim(
    source="v1, figures 2, 10, 11",
    statistic="the distance, in decades, by which the midpoints of the last two points both lie above, or both below, "
    "the range of all others (negative if they do not),",
    region=(MARGIN, ABOVE),
    needs=f"{_AT_EVERY_POINT}, without BatchNorm",
    grids=WALKING,
)
def last_two_are_exceptional(study: Study) -> Iterator[Case]:
    """Without BatchNorm, under additive noise, the midpoints of the last two points lie outside the others' range."""
    for walk in walks(study, **_FREE, model__batch_norm=False):
        others, last = walk.resolved.iloc[:, :-2], walk.resolved.iloc[:, -2:]
        above, below = last.min(axis=1) - others.max(axis=1), others.min(axis=1) - last.max(axis=1)
        yield case(above.where(above > below, below), walk)


@claim(
    source="v1, figures 2, 10, 11 (our reading)",
    statistic="the range of log10 μ over the points after ReLU and pooling, divided by the range over all points "
    "except the input,",
    region=(BELOW, 0.5),
    needs=_AT_EVERY_POINT,
    grids=(*WALKING, COARSE),
)
def without_parameters_plateau(study: Study) -> Iterator[Case]:
    """The points after layers without parameters lie on a plateau: about the same midpoint at any depth."""
    for walk in walks(study, **_FREE):
        inner = walk.resolved.iloc[:, 1:]
        plateau = inner.drop(columns=_after_parameters(walk, inner))
        if 1 < len(plateau.columns) < len(inner.columns):
            yield case(_range(plateau) / _range(inner), walk)


@claim(
    source="v1, figures 2, 10, 11",
    statistic="the mean log10 μ over all points of the model with BatchNorm, minus that of the model without,",
    region=(MARGIN, ABOVE),
    needs=f"{_AT_EVERY_POINT}, with and without BatchNorm",
    grids=WALKING,
)
def batch_norm_raises(study: Study) -> Iterator[Case]:
    """With BatchNorm the midpoints of walking noise are higher on average."""
    for normed, plain in pairs(walks(study, **_FREE), "model.batch_norm", True, False):
        yield case(normed.whole.mean(axis=1) - plain.whole.mean(axis=1), plain, normed)


@claim(
    source="v1, Table I",
    statistic="μ of global multiplicative noise, trained with it,",
    region=(BELOW, 1.0),
    needs="multiplicative global noise, trained with noise, with levels above 1",
    grids=(*GLOBAL, COARSE),
)
def no_tolerance_above_one(study: Study) -> Iterator[Case]:
    """No network tolerates global multiplicative noise above 1."""
    for each in everywhere(study, noise__kind="multiplicative", noise__in_training=True):
        if each.fit.highest > 1:
            yield case(10 ** log_midpoints(each), each)


def _case(by_point: pd.DataFrame, *compared: Walk) -> Case:
    """Case of the mean over the points, in the repetitions that have all points."""
    left_out = len(compared[0].points) - len(by_point.columns)
    reason = "points left out, since both midpoints lie beyond the same end of the sampled levels"
    note = f"{reason}: {left_out}" if left_out else ""
    return case(by_point.dropna().mean(axis=1), *compared, note=note)


def _after_parameters(walk: Walk, midpoints: pd.DataFrame) -> list[int]:
    """The columns of ``midpoints``, numbers of noise points, that follow a layer with parameters."""
    return [point.number for point in walk.points if point.parameters and point.number in midpoints]


def _lead_of_parameters(walk: Walk) -> pd.Series[float]:
    inner = walk.whole.iloc[:, 1:-1]
    with_them = _after_parameters(walk, inner)
    return inner[with_them].mean(axis=1) - inner.drop(columns=with_them).mean(axis=1)


def _between(walk: Walk) -> pd.Series[float]:
    return walk.whole.iloc[:, 1:-1].mean(axis=1)


def _range(table: pd.DataFrame) -> pd.Series[float]:
    return table.max(axis=1) - table.min(axis=1)


def _clamped_pairs(study: Study, batch_norm: bool) -> Iterable[tuple[Walk, Walk]]:
    chosen = walks(study, noise__kind="additive", noise__in_training=True, model__batch_norm=batch_norm)
    return pairs(chosen, "training.weight_clamp", None, 1.0)
