"""What the paper prints: Table I of Walking Noise v1 (arXiv 2212.10430).

It holds midpoint noise levels under global noise, of networks trained with noise, whose BatchNorm layers have no noise
points of their own. It prints no errors. The epochs are those of the code released with v2.
"""

from __future__ import annotations

from analysis.runs import CURVE_LEVELS
from analysis.series import Settings
from walking_noise import RunConfig

KINDS = ("additive", "multiplicative")

EPOCHS = {
    ("mnist", "mlp"): 100, ("mnist", "lenet5"): 50, ("cifar10", "mlp"): 200, ("cifar10", "lenet5"): 300,
    ("gsc", "mlp"): 150, ("gsc", "cnn_s"): 150,
}  # fmt: skip

MIDPOINTS = {
    # data set, model: additive without / with BatchNorm, multiplicative without / with
    ("mnist", "mlp"): (1.69, 1.57, 0.942, 0.952),
    ("mnist", "lenet5"): (1.34, 1.61, 0.946, 0.966),
    ("cifar10", "mlp"): (2.89, 2.11, 0.655, 0.642),
    ("cifar10", "lenet5"): (1.62, 1.95, 0.625, 0.629),
    ("gsc", "mlp"): (5.83, 2.06, 0.670, 0.667),
    ("gsc", "cnn_s"): (7.89, 3.73, 0.916, 0.772),
}

_NAMED = frozenset({
    "data.name", "model.name", "model.batch_norm", "noise.kind", "noise.point", "noise.on_batch_norm",
    "noise.in_training", "training.epochs", *CURVE_LEVELS,
})  # fmt: skip
"""The settings that the table names, by its title, rows and columns. All others are at their defaults."""


def in_table1(settings: Settings) -> bool:
    """Whether a series belongs in a cell of Table I, whatever its data set, model and epochs."""
    default = RunConfig().to_flat()
    silent = not settings["model.batch_norm"] or not settings["noise.on_batch_norm"]
    return (
        settings["noise.kind"] in KINDS
        and settings["noise.point"] == "global"
        and settings["noise.in_training"]
        and silent
        and all(value == default[name] for name, value in settings.items() if name not in _NAMED)
    )


def midpoint(settings: Settings) -> float | None:
    """The printed midpoint of a series of Table I; None if data set, model or epochs are not the paper's."""
    row = settings["data.name"], settings["model.name"]
    if EPOCHS.get(row) != settings["training.epochs"]:
        return None
    return MIDPOINTS[row][2 * KINDS.index(settings["noise.kind"]) + bool(settings["model.batch_norm"])]
