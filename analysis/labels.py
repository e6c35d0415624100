"""Text of settings and numbers for tables, figures and the terminal."""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from analysis.intervals import Estimate
from analysis.runs.noise_kinds import kind_of
from analysis.runs.series import Settings

TITLES = {
    "mnist5k": "MNIST (5,000 digits)", "mnist": "MNIST", "fashion_mnist": "Fashion-MNIST", "cifar10": "CIFAR-10",
    "svhn": "SVHN", "gsc": "GSC v2", "mlp": "MLP", "lenet5": "LeNet-5", "cnn_s": "CNN-S",
    "resnet20": "ResNet-20", "vgg11": "VGG-11",
}  # fmt: skip

HEADINGS = {
    "data.name": "data set", "data.transform": "transform", "data.validation": "validated on",
    "data.keywords": "keywords", "model.name": "model", "model.batch_norm": "BatchNorm",
    "noise.kind": "noise", "noise.point": "point", "noise.in_training": "training",
    "noise.on_batch_norm": "BatchNorm points", "training.weight_clamp": "weights",
}  # fmt: skip


def _display_name(name: str) -> str:
    return TITLES.get(name, _words(name))


def _words(name: str) -> str:
    """A name with spaces in the place of underscores, unless it is that of a user's function or module."""
    return name if {":", ".", "*"} & set(name) else name.replace("_", " ")


def _format_values(value: Any) -> str:
    return " ".join(f"{each:g}" for each in value) if isinstance(value, tuple) else f"{value:g}"


def _trained_at(term: str, level: Any) -> str:
    return "trained at the levels of inference" if level is None else f"trained at {term}{_format_values(level)}"


_SPLITS = {"test": "test split", "holdout": "hold-out of the training set"}

_PHRASES: dict[str, Callable[[Any], str]] = {
    "data.name": _display_name,
    "data.transform": lambda name: {"release": "release's transform", "none": "no transform"}.get(name, name),
    "data.validation": lambda split: f"validated on the {_SPLITS[split]}",
    "data.keywords": lambda keywords: f"keywords {' '.join(keywords)}",
    "model.name": _display_name,
    "model.batch_norm": lambda enabled: "with BatchNorm" if enabled else "without BatchNorm",
    "model.hidden": lambda widths: f"hidden layers {'-'.join(map(str, widths))}",
    "noise.kind": lambda kind: "no noise" if kind == "none" else f"{_display_name(kind)} noise",
    "noise.std": lambda std: f"levels {_format_values(std)}",
    "noise.amplitude": lambda amplitude: f"amplitudes {_format_values(amplitude)}",
    "noise.ratio": lambda ratio: f"ratio {_format_values(ratio)}",
    "noise.std_mul": lambda std: f"multiplicative {_format_values(std)}",
    "noise.std_add": lambda std: f"additive {_format_values(std)}",
    "noise.point": lambda point: f"point {point}" if isinstance(point, int) else str(point),
    "noise.on_batch_norm": lambda noisy: "BatchNorm points noisy" if noisy else "BatchNorm points silent",
    "noise.in_training": lambda noisy: "trained with noise" if noisy else "inference only",
    "noise.executions": lambda number: f"executions {_format_values(number)}",
    "noise.training_std": lambda std: _trained_at("", std),
    "noise.training_std_mul": lambda std: _trained_at("multiplicative ", std),
    "noise.training_std_add": lambda std: _trained_at("additive ", std),
    "noise.target": lambda target: f"on {target}",
    "noise.unit": lambda unit: "absolute levels" if unit == "absolute" else f"levels relative to the {unit}",
    "noise.per_channel": lambda each: "unit of each channel" if each else "unit of the layer",
    "noise.redraw": lambda what: f"draws for each {what}",
    "noise.training_redraw": lambda what: f"in training draws for each {what}",
    "noise.training_seed": lambda seed: f"trained on chip {seed}",
    "training.weight_clip_std": lambda multiple: f"weights clipped to {multiple:g} standard deviations",
    "distillation.soft_label_share": lambda share: f"share of soft labels {share:g}",
    "distillation.temperature": lambda temperature: f"temperature {temperature:g}",
    "distillation.initialise": lambda enabled: "started at the teacher" if enabled else "started at random",
    "distillation.teacher_seed": lambda seed: f"teacher {seed}",
    "evaluation.recalibrate": lambda enabled: "BatchNorm recalibrated" if enabled else "BatchNorm as trained",
    "noise.level_draws": lambda draws: f"{draws} draws of levels",
    "evaluation.noise_draws": lambda count: f"{count} draw{'s' * (count != 1)} per run",
    "noise.gradient": lambda gradient: f"{gradient.replace('_', '-')} gradient",
    "noise.order": lambda order: order.replace("_", " "),
    "training.epochs": lambda epochs: f"{epochs} epoch{'s' * (epochs != 1)}",
    "training.batch_size": lambda size: f"batches of {size}",
    "training.learning_rate": lambda rate: f"learning rate {rate:g}",
    "training.weight_clamp": lambda bound: "weights free" if bound is None else f"weights clamped to ±{bound:g}",
}

_CELLS: dict[str, Callable[[Any], str]] = {
    "data.name": _display_name,
    "data.validation": lambda split: _SPLITS[split],
    "data.keywords": lambda keywords: " ".join(keywords) if keywords else "–",
    "model.name": _display_name,
    "model.batch_norm": lambda enabled: "with" if enabled else "without",
    "noise.kind": _display_name,
    "noise.on_batch_norm": lambda noisy: "noisy" if noisy else "silent",
    "noise.in_training": lambda noisy: "with noise" if noisy else "inference only",
    "training.weight_clamp": lambda bound: "free" if bound is None else f"clamped to ±{bound:g}",
}


_LARGEST_RELATIVE_ERROR = 10
"""If an error is larger than this multiple of the value, the number of printed digits does not depend on it."""


def label(settings: Settings, names: Iterable[str]) -> str:
    """The settings ``names`` as one line of text for a legend or a title.

    Settings that are null are left out, except the weight clamp.
    """
    return ", ".join(
        _PHRASES[name](settings[name]) if name in _PHRASES else f"{column_heading(name)} {settings[name]}"
        for name in names if settings[name] is not None or name == "training.weight_clamp"
    )  # fmt: skip


def cell_text(name: str, value: Any) -> str:
    """One setting as the text of a table cell below its :func:`column_heading`."""
    if name in _CELLS:
        return _CELLS[name](value)
    if value is None:
        return "–"
    return _format_values(value) if isinstance(value, (float, tuple)) else _words(str(value))


def column_heading(name: str) -> str:
    """Heading of the column of a setting."""
    return HEADINGS.get(name, name.rpartition(".")[2].replace("_", " "))


def differing_settings(series: Sequence[Settings]) -> list[str]:
    """Names of the settings in which some series differ. Differences without effect do not count."""
    return [
        name for name in series[0]
        if len({repr(settings[name]) for settings in series if not _without_effect(name, settings)}) > 1
    ]  # fmt: skip


MOST_LETTERS = 160
"""Letters of a file name that are taken from a text. File systems allow 255, with prefix and ending."""


def slug(text: str) -> str:
    """A text in the form of a file name: lower-case letters, digits and hyphens.

    A text that is too long for a file system ends with its checksum instead of its last words.
    """
    name = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    return name if len(name) <= MOST_LETTERS else f"{name[:MOST_LETTERS]}-{zlib.crc32(name.encode()):08x}"


def format_number(value: float, digits: int = 3) -> str:
    """A number with some significant digits: ``0.942``, ``1.60``, ``316``, ``3.16e8``; a dash if it is not finite."""
    if not math.isfinite(value):
        return "–"
    if value == 0 or 1e-3 <= abs(value) < 1e4:
        decimals = 0 if value == 0 else max(0, digits - 1 - math.floor(math.log10(abs(value))))
        return f"{value:.{decimals}f}"
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    return f"{mantissa}e{int(exponent)}"


def format_with_error(value: float, error: float) -> str:
    """A number with its standard error, the error with two digits: ``1.684 ± 0.018``, ``(3.20 ± 0.25)e4``."""
    if not math.isfinite(value) or not 0 < error < math.inf:
        return format_number(value)
    if error > _LARGEST_RELATIVE_ERROR * value:
        return f"{format_number(value)} ± {format_number(error, 2)}"
    power = math.floor(math.log10(value)) if value >= 1e4 or value < 1e-3 else 0
    decimals = max(0, 1 - math.floor(math.log10(error / 10**power)))
    text = f"{value / 10**power:.{decimals}f} ± {error / 10**power:.{decimals}f}"
    return f"({text})e{power}" if power else text


def format_estimate(estimate: Estimate) -> str:
    """An estimate, ``0.720 [0.712, 0.729]``; a bound, ``≥ 100``; a dash if it is unknown."""
    if estimate.bound:
        return f"{estimate.bound} {format_number(estimate.value)}"
    number, interval = format_number(estimate.value), format_interval(estimate.low, estimate.high)
    return number if interval == "–" else f"{number} {interval}"


def format_interval(low: float, high: float) -> str:
    """An interval, ``[1.62, 1.76]``; a dash if an end is not finite."""
    return f"[{format_number(low)}, {format_number(high)}]" if math.isfinite(low) and math.isfinite(high) else "–"


def level_axis_label(settings: Settings) -> str:
    """Axis label for the noise level of a series."""
    kind, name = kind_of(settings), _display_name(settings["noise.kind"])
    if kind.transform:
        return f"{kind.transform.level_name} of the {name}"
    on_weights, unit = settings["noise.target"] == "weights", settings["noise.unit"]
    level = f"{'standard deviation' if ('std',) in kind.settings else 'amplitude'} of the {name} noise"
    relative = "" if unit == "absolute" else f", relative to their {unit}"
    return f"{level} on the {settings['noise.target']}{relative}" if on_weights or relative else level


def _without_effect(name: str, settings: Settings) -> bool:
    """Whether a setting has no effect. ``noise.on_batch_norm`` has an effect only with BatchNorm and global noise."""
    return name == "noise.on_batch_norm" and not (settings["model.batch_norm"] and settings["noise.point"] == "global")
