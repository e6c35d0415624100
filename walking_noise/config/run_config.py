"""The settings a run has: their defaults, what each allows by itself, and what follows from them."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterator, Mapping
from functools import cache, cached_property
from typing import Any

from torch import nn

from walking_noise import data, models
from walking_noise.config import keys
from walking_noise.config.consistency import check
from walking_noise.config.validators import flag, integer, leaves, one_of, one_or_per_point, optional, real, setting
from walking_noise.errors import ConfigError, refused
from walking_noise.models.noise_points import Point
from walking_noise.noise import Levels, NoiseKind, noise_kinds

LARGEST_SEED = 2**32 - 1
"""Of the random generators of NumPy, which Sacred seeds for every run."""


def _keywords(value: Any) -> tuple[str, ...] | None:
    """Distinct words in the order of their classes; None for the words of MLPerf Tiny, which are the default."""
    listed = isinstance(value, (list, tuple)) and all(isinstance(word, str) and word.isidentifier() for word in value)
    if not listed or not value or len(set(value)) < len(value) or not data.NOT_KEYWORDS.isdisjoint(value):
        others = " or ".join(sorted(data.NOT_KEYWORDS))
        raise ValueError(f"allowed is a list of distinct words, none of them {others}; YAML needs 'on' in quotes")
    return None if tuple(value) == data.KEYWORDS else tuple(value)


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """What is learned: the data set, what is done to its samples, what validates, and the words of a set of speech."""

    name: str = setting("mnist5k", one_of(data.sources))
    transform: str = setting("release", one_of(lambda: ("release", "fresh", "none")))
    validation: str = setting("test", one_of(lambda: ("test", "holdout")))
    keywords: tuple[str, ...] | None = setting(None, optional(_keywords))

    @property
    def shape(self) -> tuple[int, ...]:
        """Channels, height and width of the network's input."""
        return tuple(data.sources()[self.name].shape)

    @property
    def classes(self) -> int:
        """The number of classes."""
        return data.sources()[self.name].count_classes(self.keywords)


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """The network."""

    name: str = setting("mlp", one_of(models.models))
    batch_norm: bool = setting(False, flag)


def _point(value: Any) -> int | str:
    if value in ("global", "mapped"):
        return str(value)
    try:
        return int(integer(0)(value))
    except ValueError:
        raise ValueError("allowed: global, mapped, or the number of a noise point") from None


@dataclasses.dataclass(frozen=True)
class NoiseConfig:
    """What is injected, where and when; levels are standard deviations (Walking Noise, section 3)."""

    kind: str = setting("additive", one_of(noise_kinds))
    std: float | tuple[float, ...] = setting(0.0, one_or_per_point(real(0)))
    amplitude: float | tuple[float, ...] | None = setting(None, optional(one_or_per_point(real(0))))
    ratio: float | tuple[float, ...] | None = setting(None, optional(one_or_per_point(real(0, 1))))
    std_mul: float | tuple[float, ...] | None = setting(None, optional(one_or_per_point(real(0))))
    std_add: float | tuple[float, ...] | None = setting(None, optional(one_or_per_point(real(0))))
    point: int | str = setting("global", _point)
    on_batch_norm: bool = setting(True, flag)
    in_training: bool = setting(True, flag)
    gradient: str = setting("exact", one_of(lambda: ("exact", "straight_through")))
    order: str = setting("multiply_first", one_of(lambda: ("multiply_first", "add_first")))
    seed: int | None = setting(None, optional(integer(0, LARGEST_SEED)))


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """How the network is trained: Adam, cosine annealing over all epochs, cross-entropy; and whether it is kept."""

    epochs: int = setting(20, integer(1))
    batch_size: int = setting(128, integer(2))
    learning_rate: float = setting(1e-3, real(0, open_low=True))
    weight_clamp: float | None = setting(None, optional(real(0, open_low=True)))
    keep_network: bool = setting(False, flag)


@dataclasses.dataclass(frozen=True)
class EvaluationConfig:
    """What is measured besides the accuracy: with ``curve``, the validation accuracy after every epoch."""

    curve: bool = setting(False, flag)


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """The settings of one run: one training with its noise.

    Build it with :meth:`from_dict`; a value out of range, an unknown name, a point that the model does not have and a
    setting without effect are refused with a :class:`ConfigError` of one line.
    """

    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    noise: NoiseConfig = NoiseConfig()
    training: TrainingConfig = TrainingConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    seed: int = setting(0, integer(0, LARGEST_SEED))

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> RunConfig:
        """A run from nested or dotted settings, or both; what is not given has its default."""
        given = {}
        for name, value in _flatten(settings):
            if name in given:
                raise refused(name, value, "it is given twice")
            given[name] = value
        known = [name for name, _ in leaves(cls())]
        for name in given:
            if name not in known:
                close = difflib.get_close_matches(name, known, n=1)
                hint = f"did you mean {close[0]}?" if close else f"known settings: {', '.join(known)}"
                raise ConfigError(f"{name}: there is no such setting; {hint}")
        config: RunConfig = _build(cls, given, "")
        check(config)
        return config

    def without_noise(self) -> RunConfig:
        """The same run without noise."""
        return dataclasses.replace(self, noise=NoiseConfig(kind="none"))

    def initial_network(self) -> nn.Sequential:
        """The network before its training, with torch's default initialisation, drawn from the run's seed."""
        model, inputs = self.model, self.data
        return models.initialised(model.name, inputs.shape, inputs.classes, model.batch_norm, self.seed)

    def canonical(self) -> dict[str, Any]:
        """What the run does, in one form: equal for runs that do the same, however their settings say it."""
        return keys.run(self)

    @property
    def run_key(self) -> str:
        """Equal for runs that do the same."""
        return keys.digest(keys.run(self))

    @property
    def training_key(self) -> str:
        """Equal for runs whose training gives the same weights."""
        return keys.digest(keys.training(self))

    @property
    def network_key(self) -> str:
        """Equal for runs that share one trained network.

        Runs trained with noise are evaluated while they train, with their own noise at inference, and share with none
        that differs in it.
        """
        return keys.digest(keys.network(self))

    @property
    def pack_key(self) -> str:
        """Equal for runs that may train in one pack."""
        return keys.digest(keys.pack(self))

    def to_flat(self) -> dict[str, Any]:
        """Every setting under its dotted name, as plain values."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in leaves(self)}

    def to_dict(self) -> dict[str, Any]:
        """Every setting, nested, as plain values."""
        nested: dict[str, Any] = {}
        for name, value in self.to_flat().items():
            *groups, last = name.split(".")
            inner = nested
            for group in groups:
                inner = inner.setdefault(group, {})
            inner[last] = value
        return nested

    @property
    def points(self) -> tuple[Point, ...]:
        """The noise points of this run's model."""
        return models.noise_points(self.model.name, self.data.shape, self.data.classes, self.model.batch_norm)

    @property
    def noise_kind(self) -> NoiseKind:
        """The kind of this run's noise."""
        return noise_kinds()[self.noise.kind]

    @property
    def level_settings(self) -> tuple[str, ...]:
        """The names of the ``noise`` settings that give this run's level."""
        kind = self.noise_kind
        for names in kind.settings:
            if all(getattr(self.noise, name) is not None for name in names):
                return names
        wanted = ", or ".join(" and ".join(f"noise.{name}" for name in names) for names in kind.settings)
        raise refused("noise.kind", kind.name, f"it needs {wanted}")

    @cached_property
    def levels(self) -> tuple[Levels, ...]:
        """The levels of the noise at every noise point, in the order of the points."""
        noise, kind = self.noise, self.noise_kind
        given = {name: getattr(noise, name) for name in self.level_settings}

        def at(point: Point) -> Levels:
            if noise.point not in ("global", "mapped", point.number):
                return Levels(0.0, 0.0)
            if point.after_batch_norm and not noise.on_batch_norm:
                return Levels(0.0, 0.0)
            return kind.levels(
                **{name: value[point.number] if isinstance(value, tuple) else value for name, value in given.items()}
            )

        return tuple(at(point) for point in self.points)

    @property
    def first_noisy_point(self) -> int | None:
        """Where noise begins; None without noise."""
        return next((point for point, pair in enumerate(self.levels) if max(pair) > 0), None)

    @property
    def noisy(self) -> bool:
        """Whether any level is above zero."""
        return any(level > 0 for pair in self.levels for level in pair)

    @property
    def noisy_training(self) -> bool:
        return self.noisy and self.noise.in_training

    @property
    def noise_seed(self) -> int:
        """The seed of the noise at inference."""
        return self.seed if self.noise.seed is None else self.noise.seed


def _flatten(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _build(cls: Any, given: Mapping[str, Any], prefix: str) -> Any:
    values = {}
    for field, group, check_value in _fields(cls):
        name = prefix + field
        if group is not None:
            values[field] = _build(group, given, f"{name}.")
        elif name in given:
            try:
                values[field] = check_value(given[name])
            except ValueError as error:
                raise refused(name, given[name], str(error)) from None
    return cls(**values)


@cache
def _fields(cls: Any) -> list[tuple[str, Any, Any]]:
    """Of each field its name, its type if it is a group of settings, and its check if it is not."""
    return [
        (
            field.name,
            type(field.default) if dataclasses.is_dataclass(field.default) else None,
            field.metadata.get("check"),
        )
        for field in dataclasses.fields(cls)
    ]
