"""Claims on the preserved accuracy at extreme noise, and on plateaus at lower levels."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import product

import pandas as pd
from scipy import stats

from analysis import published_results
from analysis.figures.layout.families import settings_key
from analysis.midpoints.curves.weighted_fit import Array
from analysis.midpoints.maximum_noise import is_maximum
from analysis.midpoints.study import FittedSeries, Study
from analysis.paper.claims.claim import ABOVE, BELOW, Case, claim
from analysis.paper.claims.walks import POINT, Walk, case, walks
from analysis.paper.planned_grids import COARSE
from analysis.runs.noise_free import noise_free_runs

TEN_POINTS = 0.1

FLOOR_MARGIN = 0.05
"""Accuracies that exceed chance accuracy by less than this count as chance."""

LAST = 3
"""Number of last points that drop to chance in v1. The trend over the depth leaves them out."""

FLAT = 0.05
"""Largest change of accuracy on a plateau."""

BETWEEN = 0.1
"""Smallest distance of a plateau from the highest accuracy before it and from the lowest accuracy after it."""

MAXIMUM_NOISE = ("maximum_noise/mnist.yaml", "maximum_noise/cifar10.yaml", "maximum_noise/gsc.yaml")

_CHOSEN = {"noise__kind": "multiplicative", "noise__in_training": True, "training__weight_clamp": None}
_NEEDS = "multiplicative noise of 1e10 at every point, trained with noise, with BatchNorm, and runs without noise"


@claim(
    source="v1, figures 3, 5, 8, 9",
    statistic="the accuracy without noise minus that at the second best point,",
    region=(BELOW, TEN_POINTS),
    needs=_NEEDS,
    grids=(*MAXIMUM_NOISE, COARSE),
)
def some_points_keep(study: Study) -> Iterator[Case]:
    """With BatchNorm, some points lose at most ten percentage points of accuracy at multiplicative noise of 1e10."""
    for walk, at_maximum, reference in _at_maximum(study):
        losses = [reference - sorted(accuracies)[-2] for _, accuracies in at_maximum.iterrows()]
        yield case(losses, walk)


@claim(
    source="v1, figures 3, 5, 8, 9",
    statistic="the higher of the accuracies at the last two points, minus chance accuracy,",
    region=(BELOW, FLOOR_MARGIN),
    needs=_NEEDS,
    grids=(*MAXIMUM_NOISE, COARSE),
)
def last_points_drop(study: Study) -> Iterator[Case]:
    """With multiplicative noise and BatchNorm, the last two points drop to chance at 1e10."""
    for walk, at_maximum, _ in _at_maximum(study):
        above = at_maximum.iloc[:, -2:].max(axis=1) - next(iter(walk.at.values())).series.chance_accuracy
        yield case(above, walk)


@claim(
    source="v1, figures 5, 8, 9",
    statistic=f"Spearman's rank correlation between a point's number and the accuracy there at 1e10, without the last "
    f"{LAST} points,",
    region=(0.0, ABOVE),
    needs=_NEEDS,
    grids=(*MAXIMUM_NOISE, COARSE),
)
def rises_with_depth(study: Study) -> Iterator[Case]:
    """The preserved accuracy rises with depth."""
    for walk, at_maximum, _ in _at_maximum(study):
        trend = [_correlation(accuracies) for accuracies in at_maximum.iloc[:, :-LAST].to_numpy(float).tolist()]
        flat = sum(map(math.isnan, trend))
        note = f"repetitions with the same accuracy at every point: {flat}" if flat else ""
        yield case(trend, walk, note=note)


@claim(
    source="v1, figures 5, 8",
    statistic="the mean over the points of the preserved relative accuracy on MNIST, minus that on the other data set,",
    region=(0.02, ABOVE),
    needs=f"{_NEEDS}, of one model on MNIST and on CIFAR-10 or GSC",
    grids=MAXIMUM_NOISE,
)
def higher_on_mnist(study: Study) -> Iterator[Case]:
    """The preserved accuracy is higher on MNIST than on CIFAR-10 and GSC."""
    preserved = [(walk, at_maximum.mean(axis=1) / reference) for walk, at_maximum, reference in _at_maximum(study)]
    for (mnist, on_mnist), (walk, other) in product(preserved, preserved):
        data_sets = mnist.settings["data.name"], walk.settings["data.name"]
        first, second = (settings_key(each, [POINT, *published_results.DATA_SET_SETTINGS]) for each in (mnist, walk))
        if first == second and data_sets in (("mnist", "cifar10"), ("mnist", "gsc")):
            yield case(on_mnist - other, walk, mnist, note="compared with MNIST")


@claim(
    source="v1, figure 7",
    statistic=f"the longest plateau at any point, in decades: accuracies within {FLAT} of each other, at least "
    f"{BETWEEN} below the highest accuracy before the plateau and at least {BETWEEN} above the lowest one after it,",
    region=(1.0, ABOVE),
    needs="multiplicative walking noise, trained with noise, without BatchNorm",
    grids=("walking/mnist.yaml", "walking/cifar10.yaml"),
)
def plateau_on_the_way(study: Study) -> Iterator[Case]:
    """Without BatchNorm, curves under multiplicative noise have a plateau on their way down."""
    for walk in walks(study, **_CHOSEN, model__batch_norm=False):
        longest = pd.DataFrame({point: _plateaus(each) for point, each in walk.at.items()})
        yield case(longest.max(axis=1), walk, note=f"{len(walk.at)} of {len(walk.points)} points")


def _at_maximum(study: Study) -> Iterator[tuple[Walk, pd.DataFrame, float]]:
    """Each walk with BatchNorm, its accuracies at maximum noise (repetitions, points), and its accuracy without noise.

    Walks without runs at a point, and repetitions without a run at every point, are left out.
    """
    for walk in walks(study, **_CHOSEN, model__batch_norm=True):
        accuracies = {point: _accuracies(each) for point, each in walk.at.items()}
        at_maximum = pd.DataFrame(accuracies).reindex(columns=range(len(walk.points))).dropna()
        reference = noise_free_runs(study.runs, walk.settings)["accuracy"]
        if len(at_maximum) and len(reference):
            yield walk, at_maximum, float(reference.mean())


def _accuracies(each: FittedSeries) -> pd.Series[float]:
    """Accuracy of each repetition at the lowest level of maximum noise in the runs."""
    extreme = each.series.used[is_maximum(each.series.used["level"])]
    lowest: pd.DataFrame = extreme[extreme["level"] == extreme["level"].min()]
    return lowest.set_index("repetition")["accuracy"]


def _correlation(accuracies: list[float]) -> float:
    if len(set(accuracies)) < 2:
        return math.nan
    return float(stats.spearmanr(range(len(accuracies)), accuracies).statistic)


def _plateaus(each: FittedSeries) -> pd.Series[float]:
    """Longest plateau of each repetition's curve in decades; 0 without a plateau."""
    used = each.series.used[each.series.used["level"] > 0].sort_values("level")
    longest = {}
    for repetition, runs in used.groupby("repetition"):
        levels, accuracies = runs["level"].to_numpy(float), runs["accuracy"].to_numpy(float)
        longest[repetition] = max(_plateaus_of(levels, accuracies), default=0.0)
    return pd.Series(longest, dtype=float)


def _plateaus_of(levels: Array, accuracies: Array) -> Iterator[float]:
    """Length of every plateau of a curve in decades."""
    for start in range(len(levels)):
        for end in range(start, len(levels) - 1):
            low, high = accuracies[start : end + 1].min(), accuracies[start : end + 1].max()
            if high - low > FLAT:
                break
            if high <= accuracies[:start].max(initial=0.0) - BETWEEN and accuracies[end + 1 :].min() <= low - BETWEEN:
                yield math.log10(levels[end] / levels[start])
