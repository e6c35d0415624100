"""Items of the report, in the order of the papers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from analysis.figures import (
    binarization,
    midpoints_by_point,
    plateau,
    preserved_accuracy,
    quantities,
    robustness_curves,
)
from analysis.figures.layout.style import style
from analysis.figures.mixed import mixed_maps, mixed_points, mixed_ratio
from analysis.figures.training import epochs
from analysis.midpoints.study import Study
from analysis.paper import ledger, sensitivity, table1, table2
from analysis.paper.planned_grids import COARSE
from analysis.processes import shared_out, usable_cores
from analysis.progress_bar import track
from analysis.report.item import Parts, ReportItem, grids_of
from analysis.report.later_items import LATER_ITEMS
from analysis.tables import contrast_tables, run_accounting, series_tables

MOST_SERIES = 500
"""Number of series up to which every figure is drawn without a request."""

ON_REQUEST = f"Left out, because the study has more than {MOST_SERIES} series. Add --all-figures to draw it."

_AT_A_POINT = "noise.point set to the number of a noise point"

_WALKING = (*grids_of("walking", "walking_clamped"), COARSE)

_MIXED = grids_of("mixed", names=("mnist", "cifar10", "gsc", "point5"))

_PRESERVED = (
    f"completed runs of {{0}}, trained with noise of 1e10 or more, with {_AT_A_POINT}, and runs of {{0}} without noise"
)

REPORT_ITEMS: tuple[ReportItem, ...] = (
    ReportItem(
        "Table I",
        "Midpoint noise level under global noise, trained with noise",
        "runs with noise.kind additive or multiplicative, noise.point: global and noise.in_training: true; with "
        "BatchNorm also noise.on_batch_norm: false; all other settings except data set, model and epochs at their "
        "defaults",
        (*grids_of("table1"), COARSE),
        table1.make,
    ),
    ReportItem(
        "Table II",
        "Ratio of the weights of the noisy layer without clamping to those with clamping",
        "completed runs of walking noise, trained with noise, without and with training.weight_clamp, with "
        f"{_AT_A_POINT} directly after a conv or linear layer",
        _WALKING,
        table2.make,
    ),
    ReportItem(
        "Figure 1",
        "Robustness curves under global noise",
        "completed runs with noise.point: global",
        (*grids_of("table1"), COARSE),
        robustness_curves.draw_global,
    ),
    ReportItem(
        "Figure 2",
        "Midpoint noise level at each noise point, LeNet-5 on CIFAR-10",
        "completed runs of LeNet-5 on CIFAR-10 with additive or multiplicative noise at five levels or more and "
        f"{_AT_A_POINT}",
        grids_of("walking", "walking_clamped", names=("cifar10",)),
        midpoints_by_point.draw,
    ),
    ReportItem(
        "Figure 3",
        "Accuracy at maximum noise, at one point at a time",
        f"completed runs with noise.std of 1e10 or more and {_AT_A_POINT}",
        (*grids_of("maximum_noise"), COARSE),
        preserved_accuracy.draw,
    ),
    ReportItem(
        "Figure 4",
        "Self-binarisation: values and weights inside a network",
        "completed runs with training.keep_network: true and the findings of `walking-noise binarize`",
        ("maximum_noise/mnist.yaml", COARSE),
        binarization.draw,
    ),
    ReportItem(
        "Figure 5",
        "Preserved relative accuracy at maximum noise, MLP",
        _PRESERVED.format("the MLP"),
        (*grids_of("maximum_noise", "table1"), COARSE),
        partial(preserved_accuracy.draw_preserved, number=5),
    ),
    ReportItem(
        "Figure 6",
        "Accuracy over the epochs",
        "completed runs under global noise, trained with noise, with evaluation.curve: true",
        (*grids_of("learning_curves", names=("cifar10",)), COARSE),
        epochs.draw,
    ),
    ReportItem(
        "Figure 7",
        "Curves that fall in two steps: one or two stacked logistics",
        f"completed runs at ten or more levels with {_AT_A_POINT}",
        (*grids_of("walking"), COARSE),
        plateau.draw,
    ),
    ReportItem(
        "Figure 8",
        "Preserved relative accuracy at maximum noise, LeNet-5",
        _PRESERVED.format("LeNet-5"),
        grids_of("maximum_noise", "table1", names=("mnist", "fashion_mnist", "svhn", "cifar10")),
        partial(preserved_accuracy.draw_preserved, number=8),
    ),
    ReportItem(
        "Figure 9",
        "Preserved relative accuracy at maximum noise, CNN-S",
        _PRESERVED.format("CNN-S"),
        grids_of("maximum_noise", "table1", names=("gsc",)),
        partial(preserved_accuracy.draw_preserved, number=9),
    ),
    ReportItem(
        "Figures 10 and 11",
        "Midpoint noise level at each noise point, other models, data sets and noise",
        f"completed runs at five or more levels of noise.std with {_AT_A_POINT}",
        _WALKING,
        midpoints_by_point.draw_others,
    ),
    ReportItem(
        "Residual paths",
        "Midpoint noise level at each noise point of networks with residual sums",
        f"completed runs of such a network at five or more levels of noise.std with {_AT_A_POINT}, and with +residual "
        "in model.points",
        ("resnet20/cifar10.yaml",),
        midpoints_by_point.draw_residual,
    ),
    ReportItem(
        "Walking noise",
        "Robustness curves at each noise point",
        f"completed runs at five or more levels with {_AT_A_POINT}",
        _WALKING,
        robustness_curves.draw_walking,
    ),
    ReportItem(
        "v2, maps",
        "Accuracy under mixed noise over both levels, our own figure",
        "completed runs of mixed noise with six or more values of both levels, or of amplitude and ratio",
        (*_MIXED, COARSE),
        mixed_maps.draw,
    ),
    ReportItem(
        "v2, ratios",
        "Preserved accuracy at maximum noise over the mixing ratio, our own figure",
        "completed runs of mixed noise with noise.amplitude: 1e10 at three or more ratios, and runs without noise",
        grids_of("maximum_noise"),
        mixed_ratio.draw,
    ),
    ReportItem(
        "v2, points",
        "Midpoint amplitude of mixed noise at each noise point, our own figure",
        f"completed runs of mixed noise at five or more amplitudes with {_AT_A_POINT}, at two or more points",
        _MIXED,
        mixed_points.draw,
    ),
    ReportItem(
        "v2, signal",
        "Signal-to-noise ratio at each noise point over the level",
        "completed runs that set noise.std and have the signal of the audit in their result",
        (*grids_of("table1"), *_WALKING),
        quantities.draw_signal,
        on_request=True,
    ),
    ReportItem(
        "v2, weights",
        "Mean absolute weight of each layer over the level",
        "completed runs that set noise.std and have mean_abs_weight in their result",
        (*grids_of("table1"), *_WALKING),
        quantities.draw_weights,
        on_request=True,
    ),
    *LATER_ITEMS,
    ReportItem("Ledger", "Claims of the papers and their verdicts from the runs", ledger.NEEDS, (), ledger.make),
    ReportItem(
        "Contrasts",
        "Contrasts of midpoints: weakest noise points, and ratios of series that differ in their training",
        f"two or more repetitions of runs with {_AT_A_POINT}, or of runs that differ only in noise.in_training or "
        "training.weight_clamp",
        _WALKING,
        contrast_tables.make,
    ),
    ReportItem(
        "Sensitivity",
        "Midpoints for other choices of fit, of runs and of repetitions",
        "series under global noise with a midpoint",
        (*grids_of("table1"), COARSE),
        sensitivity.make,
    ),
    ReportItem(
        "All series",
        "Midpoints, and the accuracy of series without a curve",
        "runs with valid settings",
        (*grids_of("table1", "walking"), COARSE),
        series_tables.make_series,
    ),
    ReportItem("Runs", "States, and causes of missing results", "runs", (), run_accounting.make_runs),
    ReportItem(
        "Provenance", "Code, data and devices of the results", "completed runs", (), run_accounting.make_provenance
    ),
)


_LONGEST = (
    robustness_curves.draw_walking, sensitivity.make, midpoints_by_point.draw_others, contrast_tables.make,
    series_tables.make_series, robustness_curves.draw_global,
)  # fmt: skip
"""What makes the items that take longest. They start first, so that no process waits for another one at the end."""


def make_all(
    study: Study, folder: Path, *, all_figures: bool = False, processes: int | None = None,
    meanwhile: Callable[[], object] = lambda: None,
) -> list[tuple[ReportItem, Parts | None]]:  # fmt: skip
    """Make the tables and figures of every report item and write their files into ``folder``.

    The items are shared out among ``processes``, by default one for each usable core. Results do not depend on their
    number. Without ``all_figures``, items of a large study that are made on request only have None, and its figures are
    written without PDF, which takes as long as the PNG. This process calls ``meanwhile`` while the others work.
    """
    everything = all_figures or len(study.fitted_series) <= MOST_SERIES
    order = sorted(REPORT_ITEMS, key=lambda item: item.make not in _LONGEST)

    def make(number: int) -> Parts | None:
        item = order[number]
        return item.make(study, folder) if everything or not item.on_request else None

    with style(pdf=everything):
        made = shared_out(make, len(REPORT_ITEMS), processes or usable_cores())
        meanwhile()
        parts = {order[number]: each for number, each in track(made, "report items made", len(order))}
    return [(item, parts[item]) for item in REPORT_ITEMS]
