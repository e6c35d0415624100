"""Everything the report shows, in the order of the papers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from analysis import accounts, ledger, sensitivity, table1, table2, tables
from analysis.exhibit import Exhibit, Table
from analysis.figures import (
    binarization,
    epochs,
    maximum,
    mixed_maps,
    mixed_points,
    mixed_ratio,
    plateau,
    points,
    robustness,
    signal,
    weights,
)  # fmt: skip
from analysis.figures.style import Plot, style
from analysis.grids import COARSE
from analysis.progress import track
from analysis.study import Study

__all__ = ["EXHIBITS", "Exhibit", "Table", "make_all"]

DATA_SETS = ("mnist", "fashion_mnist", "svhn", "cifar10", "gsc")


def _grids(*studies: str, of: Sequence[str] = DATA_SETS) -> tuple[str, ...]:
    return tuple(f"{study}/{data}.yaml" for study in studies for data in of)


_AT_A_POINT = "noise.point set to the number of a noise point"

_WALKING = (*_grids("walking", "walking_clamped"), COARSE)

_MIXED = _grids("mixed", of=("mnist", "cifar10", "gsc", "point5"))

_PRESERVED = (
    f"completed runs of {{}}, trained with noise of 1e10 or more, with {_AT_A_POINT}, and such runs without noise"
)

EXHIBITS: tuple[Exhibit, ...] = (
    Exhibit(
        "Table I",
        "Midpoint noise level under global noise, trained with noise",
        "runs with noise.kind additive or multiplicative, noise.point: global, noise.in_training: true, with BatchNorm "
        "noise.on_batch_norm: false, and all else but data set, model and epochs at its default",
        (*_grids("table1"), COARSE),
        table1.make,
    ),
    Exhibit(
        "Table II",
        "Weights of the noisy layer, without clamping to with clamping",
        f"completed runs of walking noise, trained with it, without and with training.weight_clamp, with {_AT_A_POINT} "
        "directly after a conv or linear layer",
        _WALKING,
        table2.make,
    ),
    Exhibit(
        "Figure 1",
        "Robustness curves under global noise",
        "completed runs with noise.point: global",
        (*_grids("table1"), COARSE),
        robustness.draw_global,
    ),
    Exhibit(
        "Figure 2",
        "Midpoint noise level at each noise point, LeNet-5 on CIFAR-10",
        "completed runs of LeNet-5 on CIFAR-10 at five levels or more of additive or multiplicative noise with "
        f"{_AT_A_POINT}",
        _grids("walking", "walking_clamped", of=("cifar10",)),
        points.draw,
    ),
    Exhibit(
        "Figure 3",
        "Accuracy at maximum noise, at one point at a time",
        f"completed runs with noise.std of 1e10 or more and {_AT_A_POINT}",
        (*_grids("maximum_noise"), COARSE),
        maximum.draw,
    ),
    Exhibit(
        "Figure 4",
        "Self-binarisation: values and weights inside a network",
        "completed runs with training.keep_network: true that `walking-noise binarize` has looked into",
        ("maximum_noise/mnist.yaml", COARSE),
        binarization.draw,
    ),
    Exhibit(
        "Figure 5",
        "Preserved relative accuracy at maximum noise, MLP",
        _PRESERVED.format("the MLP"),
        (*_grids("maximum_noise", "table1"), COARSE),
        partial(maximum.draw_preserved, number=5),
    ),
    Exhibit(
        "Figure 6",
        "Accuracy over the epochs",
        "completed runs under global noise, trained with it, with evaluation.curve: true",
        (*_grids("learning_curves", of=("cifar10",)), COARSE),
        epochs.draw,
    ),
    Exhibit(
        "Figure 7",
        "Curves that fall over a plateau: one or two stacked logistics",
        f"completed runs at ten levels or more with {_AT_A_POINT}",
        (*_grids("walking"), COARSE),
        plateau.draw,
    ),
    Exhibit(
        "Figure 8",
        "Preserved relative accuracy at maximum noise, LeNet-5",
        _PRESERVED.format("LeNet-5"),
        _grids("maximum_noise", "table1", of=("mnist", "fashion_mnist", "svhn", "cifar10")),
        partial(maximum.draw_preserved, number=8),
    ),
    Exhibit(
        "Figure 9",
        "Preserved relative accuracy at maximum noise, CNN-S",
        _PRESERVED.format("CNN-S"),
        _grids("maximum_noise", "table1", of=("gsc",)),
        partial(maximum.draw_preserved, number=9),
    ),
    Exhibit(
        "Figures 10 and 11",
        "Midpoint noise level at each noise point, other models, data sets and noise",
        f"completed runs at five levels of noise.std or more with {_AT_A_POINT}",
        _WALKING,
        points.draw_others,
    ),
    Exhibit(
        "Walking noise",
        "Robustness curves at each noise point",
        f"completed runs at five levels or more with {_AT_A_POINT}",
        _WALKING,
        robustness.draw_walking,
    ),
    Exhibit(
        "v2, maps",
        "Accuracy under mixed noise over both levels, our own reading",
        "completed runs of mixed noise at six values or more of both levels, or of amplitude and ratio",
        (*_MIXED, COARSE),
        mixed_maps.draw,
    ),
    Exhibit(
        "v2, ratios",
        "Preserved accuracy at maximum noise over the mixing ratio, our own reading",
        "completed runs of mixed noise with noise.amplitude: 1e10 at three ratios or more, and runs without noise",
        _grids("maximum_noise"),
        mixed_ratio.draw,
    ),
    Exhibit(
        "v2, points",
        "Midpoint amplitude of mixed noise at each noise point, our own reading",
        f"completed runs of mixed noise at five amplitudes or more with {_AT_A_POINT}, at two points or more",
        _MIXED,
        mixed_points.draw,
    ),
    Exhibit(
        "v2, signal",
        "Signal-to-noise ratio at each noise point over the level",
        "completed runs with noise.std whose result has the audit's signal",
        (*_grids("table1"), *_WALKING),
        signal.draw,
    ),
    Exhibit(
        "v2, weights",
        "Mean absolute weight of each layer over the level",
        "completed runs with noise.std whose result has mean_abs_weight",
        (*_grids("table1"), *_WALKING),
        weights.draw,
    ),
    Exhibit("Ledger", "The claims of the papers and what the runs say", "runs", (), ledger.make),
    Exhibit(
        "Sensitivity",
        "What other choices of fit, of runs and of repetitions give",
        "global series with a midpoint",
        (*_grids("table1"), COARSE),
        sensitivity.make,
    ),
    Exhibit(
        "All series",
        "Midpoints, or the accuracy where there is no curve",
        "runs with a single noise level",
        (*_grids("table1", "walking"), COARSE),
        tables.make_series,
    ),
    Exhibit("Runs", "What became of them", "runs", (), accounts.make_runs),
    Exhibit("Provenance", "What made the results", "completed runs", (), accounts.make_provenance),
)


def make_all(study: Study, folder: Path) -> list[tuple[Exhibit, Sequence[Plot | Table]]]:
    """Make every exhibit, its files in ``folder``; an exhibit with nothing to show says what is :attr:`lacking`."""
    with style():
        return [(each, each.make(study, folder)) for each in track(EXHIBITS, "exhibits made", len(EXHIBITS))]
