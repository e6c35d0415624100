"""Items of the report beyond the first Walking Noise paper: levels in training, teachers, executions, information."""

from __future__ import annotations

from analysis.figures import executions, information_curves
from analysis.figures.training import distillation, training_levels
from analysis.report.item import ReportItem, grids_of

LATER_ITEMS: tuple[ReportItem, ...] = (
    ReportItem(
        "Training levels",
        "Accuracy at other levels than in training, and the best level in training",
        "completed runs that set noise.training_std, at two or more levels in training",
        (),
        training_levels.make,
    ),
    ReportItem(
        "Distillation",
        "Accuracy of networks trained with noise, for longer, from a teacher and with its soft labels",
        "completed runs that set noise.training_std, with distillation in some of them",
        grids_of("noisy_machines", names=("mnist", "fashion_mnist", "cifar10")),
        distillation.make,
    ),
    ReportItem(
        "v2, executions",
        "Accuracy over the mean number of executions, for schemes that allocate them",
        "completed runs with noise at inference only at every noise point and under global noise, and runs of the grid "
        "that `walking-noise allocate` writes",
        grids_of("executions", names=("mnist", "cifar10")),
        executions.make,
    ),
    ReportItem(
        "Information",
        "Information of the answers over the noise level",
        "completed runs with evaluation.confusion, at five or more levels",
        grids_of("information", names=("mnist",)),
        information_curves.draw,
    ),
)
