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
from analysis.progress import track
from analysis.study import Study

__all__ = ["EXHIBITS", "Exhibit", "Table", "make_all"]

DATA_SETS = ("mnist", "fashion_mnist", "svhn", "cifar10", "gsc")


def _grids(*studies: str, of: Sequence[str] = DATA_SETS) -> tuple[str, ...]:
    return tuple(f"{study}/{data}.yaml" for study in studies for data in of)


_AT_A_POINT = "noise.point set to the number of a noise point"

_MIXED = _grids("mixed", of=("mnist", "cifar10", "gsc", "point5"))

_PRESERVED = (
    f"completed runs of {{}}, trained with noise of 1e10 or more, with {_AT_A_POINT}, and such runs without noise"
)

EXHIBITS: tuple[Exhibit, ...] = (
    Exhibit(
        "Table I",
        "midpoint noise level under global noise, trained with noise",
        "runs with noise.kind additive or multiplicative, noise.point: global, noise.in_training: true, with BatchNorm "
        "noise.on_batch_norm: false, and all else but data set, model and epochs at its default",
        _grids("table1"),
        table1.make,
    ),
    Exhibit(
        "Table II",
        "weights of the noisy layer, without clamping to with clamping",
        f"completed runs of walking noise, trained with it, without and with training.weight_clamp, with {_AT_A_POINT} "
        "directly after a conv or linear layer",
        _grids("walking", "walking_clamped"),
        table2.make,
    ),
    Exhibit(
        "Figure 1",
        "robustness curves under global noise",
        "completed runs with noise.point: global",
        _grids("table1"),
        robustness.draw_global,
    ),
    Exhibit(
        "Figure 2",
        "midpoint noise level at each noise point, LeNet-5 on CIFAR-10",
        f"completed runs of LeNet-5 on CIFAR-10 at five levels or more with {_AT_A_POINT}",
        _grids("walking", "walking_clamped", of=("cifar10",)),
        points.draw,
    ),
    Exhibit(
        "Figure 3",
        "accuracy at maximum noise, at one point at a time",
        f"completed runs of additive or multiplicative noise at 1e10 or more with {_AT_A_POINT}",
        _grids("maximum_noise"),
        maximum.draw,
    ),
    Exhibit(
        "Figure 4",
        "self-binarisation: values and weights inside a network",
        "completed runs with training.keep_network: true that `walking-noise binarize` has looked into",
        ("maximum_noise/mnist.yaml",),
        binarization.draw,
    ),
    Exhibit(
        "Figure 5",
        "preserved relative accuracy at maximum noise, MLP",
        _PRESERVED.format("the MLP"),
        _grids("maximum_noise", "table1"),
        partial(maximum.draw_preserved, number=5),
    ),
    Exhibit(
        "Figure 6",
        "accuracy over the epochs",
        "completed runs under global noise, trained with it, with evaluation.curve: true",
        _grids("learning_curves", of=("cifar10",)),
        epochs.draw,
    ),
    Exhibit(
        "Figure 7",
        "curves that fall over a plateau: one or two stacked logistics",
        f"completed runs at ten levels or more with {_AT_A_POINT}",
        _grids("walking"),
        plateau.draw,
    ),
    Exhibit(
        "Figure 8",
        "preserved relative accuracy at maximum noise, LeNet-5",
        _PRESERVED.format("LeNet-5"),
        _grids("maximum_noise", "table1", of=("mnist", "fashion_mnist", "svhn", "cifar10")),
        partial(maximum.draw_preserved, number=8),
    ),
    Exhibit(
        "Figure 9",
        "preserved relative accuracy at maximum noise, CNN-S",
        _PRESERVED.format("CNN-S"),
        _grids("maximum_noise", "table1", of=("gsc",)),
        partial(maximum.draw_preserved, number=9),
    ),
    Exhibit(
        "Figures 10 and 11",
        "midpoint noise level at each noise point, other models and data sets",
        f"completed runs at five levels or more with {_AT_A_POINT}",
        _grids("walking", "walking_clamped"),
        points.draw_others,
    ),
    Exhibit(
        "Walking noise",
        "robustness curves at each noise point",
        f"completed runs at five levels or more with {_AT_A_POINT}",
        _grids("walking", "walking_clamped"),
        robustness.draw_walking,
    ),
    Exhibit(
        "v2, maps",
        "accuracy under mixed noise over both levels, our own reading",
        "completed runs of mixed noise at six values or more of both levels, or of amplitude and ratio",
        _MIXED,
        mixed_maps.draw,
    ),
    Exhibit(
        "v2, ratios",
        "preserved accuracy at maximum noise over the mixing ratio, our own reading",
        "completed runs of mixed noise with noise.amplitude: 1e10 at three ratios or more, and runs without noise",
        _grids("maximum_noise"),
        mixed_ratio.draw,
    ),
    Exhibit(
        "v2, points",
        "midpoint amplitude of mixed noise at each noise point, our own reading",
        f"completed runs of mixed noise at five amplitudes or more with {_AT_A_POINT}, at two points or more",
        _MIXED,
        mixed_points.draw,
    ),
    Exhibit(
        "v2, signal",
        "signal-to-noise ratio at each noise point over the level",
        "completed runs of additive or multiplicative noise whose result has the audit's signal",
        _grids("table1", "walking", "walking_clamped"),
        signal.draw,
    ),
    Exhibit(
        "v2, weights",
        "mean absolute weight of each layer over the level",
        "completed runs of additive or multiplicative noise whose result has mean_abs_weight",
        _grids("table1", "walking", "walking_clamped"),
        weights.draw,
    ),
    Exhibit("Ledger", "the claims of the papers and what the runs say", "runs", (), ledger.make),
    Exhibit(
        "Sensitivity",
        "what other choices of fit, of runs and of repetitions give",
        "global series with a midpoint",
        _grids("table1"),
        sensitivity.make,
    ),
    Exhibit(
        "All series",
        "midpoints and plateaus",
        "runs with a single noise level",
        _grids("table1", "walking"),
        tables.make_series,
    ),
    Exhibit("Runs", "what became of them", "runs", (), accounts.make_runs),
    Exhibit("Provenance", "what made the results", "completed runs", (), accounts.make_provenance),
)


def make_all(study: Study, folder: Path) -> list[tuple[Exhibit, Sequence[Plot | Table]]]:
    """Make every exhibit, its files in ``folder``; an exhibit with nothing to show says what is :attr:`lacking`."""
    with style():
        return [(each, each.make(study, folder)) for each in track(EXHIBITS, "exhibits made", len(EXHIBITS))]
