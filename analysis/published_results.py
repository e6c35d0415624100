"""What Walking Noise v1 (arXiv 2212.10430) prints: Tables I and II, and which series its figures show.

Table I holds midpoint noise levels under global noise, of networks trained with noise, whose BatchNorm layers have no
noise points of their own. Table II holds by how much clamping lowers the mean |weight| of the noisy layer. Neither
prints errors. The epochs are those of the code released with v2.
"""

from __future__ import annotations

from collections.abc import Iterable

from analysis.runs.run_frame import CURVE_LEVELS
from analysis.runs.series import Settings
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

WEIGHT_RATIOS = {
    # by BatchNorm: the layers 1 to 5 of LeNet-5 on CIFAR-10, additive noise
    True: (51.0, 30.0, 13.0, 24.0, 18.0),
    False: (1.7, 0.87, 1.1, 0.6, 1.1),
}

DATA_SETS = frozenset(data for data, _ in MIDPOINTS)

FIGURES: dict[int, dict[str, str | bool]] = {
    1: {"data.name": "cifar10", "model.name": "lenet5", "noise.kind": "additive"},
    2: {"data.name": "cifar10", "model.name": "lenet5"},
    3: {"data.name": "cifar10", "model.name": "lenet5", "noise.kind": "multiplicative"},
    5: {"model.name": "mlp", "noise.kind": "multiplicative"},
    6: {"data.name": "cifar10", "model.name": "lenet5", "noise.kind": "additive"},
    7: {"data.name": "cifar10", "model.name": "lenet5", "model.batch_norm": False, "noise.kind": "multiplicative"},
    8: {"model.name": "lenet5", "noise.kind": "multiplicative"},
    9: {"model.name": "cnn_s", "noise.kind": "multiplicative"},
}
"""What the series of a figure have in common; other models, data sets and noise have a figure of the same kind."""

OF_A_DATA_SET = (
    "data.name", "data.transform", "data.validation", "data.keywords", "training.epochs", "training.batch_size",
    "training.learning_rate",
)  # fmt: skip
"""The settings that belong to a data set: each is prepared and trained in its own way."""

_NAMED = frozenset({
    "data.name", "model.name", "model.batch_norm", "noise.kind", "noise.point", "noise.on_batch_norm",
    "noise.in_training", "training.epochs", *CURVE_LEVELS,
})  # fmt: skip
"""The settings that the table names, by its title, rows and columns. All others are at their defaults."""


def is_global(settings: Settings) -> bool:
    """Whether a series is of what Table I is about: global noise, and networks trained with it."""
    return settings["noise.point"] == "global" and bool(settings["noise.in_training"])


def departures(settings: Settings) -> list[str]:
    """The settings in which a series under global noise differs from those of Table I, beside those it names."""
    default = RunConfig().to_flat()
    noisy = ["noise.on_batch_norm"] if settings["model.batch_norm"] and settings["noise.on_batch_norm"] else []
    return noisy + [name for name, value in settings.items() if name not in _NAMED and value != default[name]]


def in_table1(settings: Settings) -> bool:
    """Whether a series belongs in a cell of Table I, whatever its data set, model and epochs."""
    return settings["noise.kind"] in KINDS and is_global(settings) and not departures(settings)


def midpoint(settings: Settings) -> float | None:
    """The printed midpoint of a series of Table I; None if data set, model or epochs are not the paper's."""
    row = settings["data.name"], settings["model.name"]
    if EPOCHS.get(row) != settings["training.epochs"]:
        return None
    return MIDPOINTS[row][2 * KINDS.index(settings["noise.kind"]) + bool(settings["model.batch_norm"])]


def weight_ratio(settings: Settings, layer: int) -> float | None:
    """The entry of Table II for a layer (the first is 0); None if the series are not the paper's."""
    row = settings["data.name"], settings["model.name"]
    if row != ("cifar10", "lenet5") or EPOCHS[row] != settings["training.epochs"]:
        return None
    return WEIGHT_RATIOS[bool(settings["model.batch_norm"])][layer] if settings["noise.kind"] == "additive" else None


def in_figure(number: int, settings: Settings) -> bool:
    """Whether a series is of the kind that the paper's figure shows."""
    alike = all(settings[name] == value for name, value in FIGURES[number].items())
    return alike and settings["data.name"] in DATA_SETS and settings["noise.kind"] in KINDS


def titled(number: int, shown: Iterable[Settings], title: str) -> str:
    """The title of a figure of some series, with its number in the paper if that shows one of them."""
    return f"Figure {number}. {title}" if any(in_figure(number, settings) for settings in shown) else title
