"""A run's settings: one definition for YAML grids, documents and data frame columns."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

from walking_noise import canonical, data, models
from walking_noise.checks import check
from walking_noise.errors import ConfigError, refused
from walking_noise.noise import Levels, noise_kinds
from walking_noise.points import Point
from walking_noise.settings import (
    flag,
    integer,
    leaves,
    one_of,
    one_or_per_point,
    optional,
    real,
    setting,
)


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """What is learned: the data set, and what is done to its samples."""

    name: str = setting("mnist5k", one_of(data.sources))
    transform: str = setting("release", one_of(lambda: ("release", "none")))


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
    seed: int | None = setting(None, optional(integer(0)))


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """How the network is trained: Adam, cosine annealing over all epochs, cross-entropy."""

    epochs: int = setting(20, integer(1))
    batch_size: int = setting(128, integer(2))
    learning_rate: float = setting(1e-3, real(0, open_low=True))
    weight_clamp: float | None = setting(None, optional(real(0, open_low=True)))


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
    seed: int = setting(0, integer(0))

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> RunConfig:
        """A run from nested or dotted settings, or both; what is not given has its default."""
        given = dict(_flatten(settings))
        known = [name for name, _ in leaves(cls())]
        for name in given:
            if name not in known:
                close = difflib.get_close_matches(name, known, n=1)
                hint = f"did you mean {close[0]}?" if close else f"known settings: {', '.join(known)}"
                raise ConfigError(f"{name}: there is no such setting; {hint}")
        config: RunConfig = _build(cls, given, "")
        check(config)
        return config

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
        source = data.sources()[self.data.name]
        return models.noise_points(self.model.name, tuple(source.shape), source.classes, self.model.batch_norm)

    @property
    def level_settings(self) -> tuple[str, ...]:
        """The names of the ``noise`` settings that give this run's level."""
        kind = noise_kinds()[self.noise.kind]
        for names in kind.settings:
            if all(getattr(self.noise, name) is not None for name in names):
                return names
        wanted = ", or ".join(" and ".join(f"noise.{name}" for name in names) for names in kind.settings)
        raise ConfigError(f"noise.kind: {kind.name!r} needs {wanted}")

    @cached_property
    def levels(self) -> tuple[Levels, ...]:
        """The levels of the noise at every noise point, in the order of the points."""
        noise, kind = self.noise, noise_kinds()[self.noise.kind]
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

    def canonical(self) -> dict[str, Any]:
        """What the run does, in one form: equal for runs that do the same, however their settings say it."""
        return canonical.run(self)

    @property
    def run_key(self) -> str:
        """Equal for runs that do the same."""
        return canonical.digest(canonical.run(self))

    @property
    def training_key(self) -> str:
        """Equal for runs whose training gives the same weights."""
        return canonical.digest(canonical.training(self))

    @property
    def pack_key(self) -> str:
        """Equal for runs that may train in one pack."""
        return canonical.digest(canonical.pack(self))


def _flatten(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _build(cls: type[Any], given: Mapping[str, Any], prefix: str) -> Any:
    values = {}
    for field in dataclasses.fields(cls):
        name = prefix + field.name
        if dataclasses.is_dataclass(field.default):
            values[field.name] = _build(type(field.default), given, f"{name}.")
        elif name in given:
            try:
                values[field.name] = field.metadata["check"](given[name])
            except ValueError as error:
                raise refused(name, given[name], str(error)) from None
    return cls(**values)
