"""Published results of Walking Noise v1 (arXiv 2212.10430): values of Tables I and II, and the series of its figures.

Table I gives midpoint noise levels under global noise for networks trained with noise. No noise is injected after
BatchNorm layers. Table II gives the factor by which clamping lowers the mean |weight| of the noisy layer. Neither table
prints errors. The numbers of epochs are those of the code released with v2.
"""

from __future__ import annotations

from collections.abc import Iterable

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
    # with BatchNorm?: layers 1 to 5 of LeNet-5 on CIFAR-10, additive noise
    True: (51.0, 30.0, 13.0, 24.0, 18.0),
    False: (1.7, 0.87, 1.1, 0.6, 1.1),
}

DATA_SETS = frozenset(data for data, _ in MIDPOINTS)

NETWORKS = frozenset(model for _, model in MIDPOINTS)

ALL_DATA_SETS = DATA_SETS | {"fashion_mnist", "svhn", "mnist5k"}
"""Data sets of the papers' claims, with the part of MNIST that comes with a package."""

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
"""Settings shared by the series of each figure. Other models, data sets and noise get a figure of the same kind."""

DATA_SET_SETTINGS = (
    "data.name", "data.transform", "data.validation", "data.keywords", "training.epochs", "training.batch_size",
    "training.learning_rate",
)  # fmt: skip
"""Settings that belong to a data set: every data set has its own preparation and training."""

_NAMED = frozenset({
    "data.name", "model.name", "model.batch_norm", "noise.kind", "noise.point", "noise.on_batch_norm",
    "noise.in_training", "noise.std", "noise.amplitude", "training.epochs",
})  # fmt: skip
"""Settings that Table I states in its title, rows and columns. All other settings have their defaults."""


def is_global_and_trained(settings: Settings) -> bool:
    """Whether a series has global noise and its networks are trained with it, as in Table I."""
    return settings["noise.point"] == "global" and bool(settings["noise.in_training"])


def settings_unlike_table1(settings: Settings) -> list[str]:
    """Settings in which a series under global noise differs from Table I, other than those that Table I states."""
    default = RunConfig().to_flat()
    noisy = ["noise.on_batch_norm"] if settings["model.batch_norm"] and settings["noise.on_batch_norm"] else []
    return noisy + [name for name, value in settings.items() if name not in _NAMED and value != default[name]]


def in_table1(settings: Settings) -> bool:
    """Whether a series belongs in a cell of Table I. Data set, model and epochs may differ from the paper's."""
    return settings["noise.kind"] in KINDS and is_global_and_trained(settings) and not settings_unlike_table1(settings)


def published_midpoint(settings: Settings) -> float | None:
    """Printed midpoint of a series of Table I; None if data set, model or epochs are not the paper's."""
    row = settings["data.name"], settings["model.name"]
    if EPOCHS.get(row) != settings["training.epochs"]:
        return None
    return MIDPOINTS[row][2 * KINDS.index(settings["noise.kind"]) + bool(settings["model.batch_norm"])]


def published_weight_ratio(settings: Settings, layer: int) -> float | None:
    """Entry of Table II for a layer (the first is 0); None if the series is not the paper's."""
    row = settings["data.name"], settings["model.name"]
    if row != ("cifar10", "lenet5") or EPOCHS[row] != settings["training.epochs"]:
        return None
    return WEIGHT_RATIOS[bool(settings["model.batch_norm"])][layer] if settings["noise.kind"] == "additive" else None


def in_figure(number: int, settings: Settings) -> bool:
    """Whether a series is one of those in the paper's figure ``number``."""
    matches = all(settings[name] == value for name, value in FIGURES[number].items())
    return matches and settings["data.name"] in DATA_SETS and settings["noise.kind"] in KINDS


def numbered_title(number: int, shown: Iterable[Settings], title: str) -> str:
    """Title of a figure. It starts with the number of the paper's figure if that figure shows one of the series."""
    return f"Figure {number}. {title}" if any(in_figure(number, settings) for settings in shown) else title
