"""Claims of Noisy Machines on noise on weights, and of Walking Noise v2 on executions."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from analysis.figures import executions
from analysis.figures.layout.families import families
from analysis.figures.training import distillation
from analysis.figures.training.training_levels import training_level
from analysis.midpoints.allocation import OPTIMUM
from analysis.midpoints.study import Study
from analysis.paper.claims.claim import ABOVE, Case, claim
from analysis.paper.claims.walks import case

NOISY_MACHINES = ("noisy_machines/mnist.yaml", "noisy_machines/fashion_mnist.yaml", "noisy_machines/cifar10.yaml")
EXECUTIONS = ("executions/mnist.yaml", "executions/cifar10.yaml")
SOURCE = "Noisy Machines, abstract"
_ON_WEIGHTS = "noise on weights over its level, with networks trained without noise, with noise, and with a teacher"
_EXECUTED = "the grid of `walking-noise allocate`, and the midpoints that it reads"


def _ratios(study: Study, first: str, second: str) -> Iterator[Case]:
    """log10 of the ratio of the midpoints of two kinds of training, each at its best level in training."""
    on_weights = [
        each for each in study.fitted_series
        if each.settings["noise.target"] == "weights" and training_level(each.settings) is not None
    ]  # fmt: skip
    found = families(on_weights, distillation.WITHIN)
    for family in (part for whole in found for part in distillation.comparable(whole) or [whole]):
        series = distillation.by_training(family)
        (one, members), (other, others) = (distillation.log_midpoints(series, kind) for kind in (first, second))
        difference: pd.Series[float] = (one - other).dropna()
        if len(difference):
            yield case(difference, *members, *others)


@claim(
    source=SOURCE,
    statistic="log10(μ trained with noise / μ trained without), at the best level in training",
    region=(0.0, ABOVE),
    needs=_ON_WEIGHTS,
    grids=NOISY_MACHINES,
)
def noise_training_raises(study: Study) -> Iterator[Case]:
    """Training with noise on the weights raises the tolerated noise on the weights."""
    yield from _ratios(study, distillation.NOISE, distillation.CLEAN)


@claim(
    source=SOURCE,
    statistic="log10(μ from a teacher with its soft labels / μ trained with noise for as many epochs in total), each "
    "at its best level in training,",
    region=(0.0, ABOVE),
    needs=_ON_WEIGHTS,
    grids=NOISY_MACHINES,
)
def distillation_raises(study: Study) -> Iterator[Case]:
    """Distillation combined with training with noise tolerates more noise than training with noise."""
    yield from _ratios(study, distillation.BOTH, distillation.LONGER)


@claim(
    source=f"{SOURCE}: up to twice the tolerance of the best earlier method",
    statistic="log10(μ from a teacher with its soft labels / μ trained with noise), each at its best level in "
    "training,",
    region=(0.2, ABOVE),
    needs=_ON_WEIGHTS,
    grids=NOISY_MACHINES,
)
def distillation_doubles(study: Study) -> Iterator[Case]:
    """Distillation combined with noise tolerates about twice the noise of training with noise (at least 1.6 times)."""
    yield from _ratios(study, distillation.BOTH, distillation.NOISE)


def _tailored(study: Study) -> Iterator[executions.Gain]:
    for _, network, found in executions.compared(study):
        yield from (gain for gain in executions.gains(network, found) if gain.scheme == OPTIMUM)


@claim(
    source="v2, multi-execution",
    statistic="the accuracy with the optimal numbers of executions minus that with equal ones, at the midpoint under "
    "global noise,",
    region=(0.0, ABOVE),
    needs=_EXECUTED,
    grids=EXECUTIONS,
)
def tailored_executions_win(study: Study) -> Iterator[Case]:
    """Executions allocated by the midpoints of the layers give a higher accuracy than the same number everywhere."""
    for gain in _tailored(study):
        note = f"{gain.mean} executions on average"
        yield case(pd.Series(gain.accuracy, dtype=float), *gain.series, note=note)


@claim(
    source="our prediction: noise variances add up, relative to what each point tolerates",
    statistic="the measured ratio of the midpoints with optimal and equal numbers of executions, divided by the "
    "predicted one,",
    region=(0.85, 1.15),
    needs=_EXECUTED,
    grids=EXECUTIONS,
)
def the_gain_is_predicted(study: Study) -> Iterator[Case]:
    """The midpoints of the layers predict how much more noise tailored executions tolerate, within 15 %."""
    for gain in _tailored(study):
        ratios = 10 ** pd.Series(gain.log_factor, dtype=float) / gain.predicted
        yield case(ratios, *gain.series, note=f"{gain.mean} executions on average, predicted {gain.predicted:.3f}")
