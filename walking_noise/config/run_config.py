"""Settings of a run: fields, defaults and validators, and the quantities derived from the settings."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping
from functools import cache, cached_property
from typing import Any

from torch import nn

from walking_noise import data, models
from walking_noise.config import keys
from walking_noise.config.consistency import check_consistency
from walking_noise.config.validators import (
    flag,
    flatten,
    integer,
    leaves,
    one_of,
    one_or_per_point,
    optional,
    point_or_scope,
    real,
    setting,
)
from walking_noise.errors import ConfigError, refused
from walking_noise.models.point import Point
from walking_noise.noise import Levels, NoiseKind, noise_kinds

NOT_SETTINGS = ("db_collection", "overwrite", "__doc__")
"""Keys that SEML and Sacred add to the config of a run."""

LARGEST_SEED = 2**32 - 1
"""The largest seed of NumPy's random generators, which Sacred seeds for every run."""


def _keywords(value: Any) -> tuple[str, ...] | None:
    """Allow distinct words, in the order of their classes. Return None for the words of MLPerf Tiny, the default."""
    words = isinstance(value, (list, tuple)) and all(isinstance(word, str) and word.isidentifier() for word in value)
    if not words or not value or len(set(value)) < len(value) or not data.NOT_KEYWORDS.isdisjoint(value):
        others = " or ".join(sorted(data.NOT_KEYWORDS))
        raise ValueError(
            f"allowed: a list of distinct words, none of them {others}; in YAML put yes, no, on, off in quotes"
        )
    return None if tuple(value) == data.KEYWORDS else tuple(value)


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Data set, transform of its samples, samples for validation, and keywords of a speech data set."""

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
    """Model, and whether it has BatchNorm."""

    name: str = setting("mlp", one_of(models.models))
    batch_norm: bool = setting(False, flag)


@dataclasses.dataclass(frozen=True)
class NoiseConfig:
    """Kind, level, place and time of the injected noise. Levels are standard deviations (Walking Noise, section 3)."""

    kind: str = setting("additive", one_of(noise_kinds))
    std: float | tuple[float, ...] = setting(0.0, one_or_per_point(real(0)))
    amplitude: float | tuple[float, ...] | None = setting(None, optional(one_or_per_point(real(0))))
    ratio: float | tuple[float, ...] | None = setting(None, optional(one_or_per_point(real(0, 1))))
    std_mul: float | tuple[float, ...] | None = setting(None, optional(one_or_per_point(real(0))))
    std_add: float | tuple[float, ...] | None = setting(None, optional(one_or_per_point(real(0))))
    point: int | str = setting("global", point_or_scope)
    on_batch_norm: bool = setting(True, flag)
    in_training: bool = setting(True, flag)
    gradient: str = setting("exact", one_of(lambda: ("exact", "straight_through")))
    order: str = setting("multiply_first", one_of(lambda: ("multiply_first", "add_first")))
    seed: int | None = setting(None, optional(integer(0, LARGEST_SEED)))


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """Training by Adam on the cross-entropy, with cosine annealing over all epochs; and whether to keep the network."""

    epochs: int = setting(20, integer(1))
    batch_size: int = setting(128, integer(2))
    learning_rate: float = setting(1e-3, real(0, open_low=True))
    weight_clamp: float | None = setting(None, optional(real(0, open_low=True)))
    keep_network: bool = setting(False, flag)


@dataclasses.dataclass(frozen=True)
class EvaluationConfig:
    """Measurements in addition to the final accuracy: with ``curve``, the validation accuracy after every epoch."""

    curve: bool = setting(False, flag)


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """Settings of one run.

    Build it with :meth:`from_dict`, which validates all settings.
    """

    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    noise: NoiseConfig = NoiseConfig()
    training: TrainingConfig = TrainingConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    seed: int = setting(0, integer(0, LARGEST_SEED))

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any], points: tuple[Point, ...] | None = None) -> RunConfig:
        """Build a run from nested settings, dotted settings, or both. Omitted settings have their defaults.

        Parameters
        ----------
        settings
            The settings.
        points
            The noise points of the model, if they are known. Otherwise the model is built to find them.

        Raises
        ------
        ConfigError
            A setting is unknown, given twice, out of range or without effect, or settings contradict each other.
        """
        flat = {}
        for name, value in flatten(settings):
            if name in flat:
                raise refused(name, value, "it is given twice; remove one of the two")
            flat[name] = value
        known = [name for name, _ in leaves(cls())]
        for name in flat:
            if name not in known:
                close = difflib.get_close_matches(name, known, n=1)
                hint = f"did you mean {close[0]}?" if close else f"known settings: {', '.join(known)}"
                raise ConfigError(f"{name}: there is no such setting; {hint}")
        config: RunConfig = _build(cls, flat, "")
        if points is not None:
            vars(config)["points"] = points
        check_consistency(config)
        return config

    @classmethod
    def from_document(cls, config: Mapping[str, Any], points: tuple[Point, ...] | None = None) -> RunConfig:
        """The run in the field ``config`` of a Sacred document, without the keys that SEML and Sacred add to it."""
        return cls.from_dict({name: value for name, value in config.items() if name not in NOT_SETTINGS}, points)

    def without_noise(self) -> RunConfig:
        """The same run without noise."""
        return dataclasses.replace(self, noise=NoiseConfig(kind="none"))

    def initial_network(self) -> nn.Sequential:
        """The untrained network, with torch's default initialisation drawn from the run's seed."""
        model, inputs = self.model, self.data
        return models.initialised(model.name, inputs.shape, inputs.classes, model.batch_norm, self.seed)

    def canonical(self) -> dict[str, Any]:
        """The canonical form of the settings. Equivalent runs have equal forms, even if their settings differ."""
        return keys.run(self)

    @property
    def run_key(self) -> str:
        """Key of the result: equal for equivalent runs."""
        return keys.digest(keys.run(self))

    @property
    def training_key(self) -> str:
        """Key of the training: equal for runs whose training gives the same weights."""
        return keys.digest(keys.training(self))

    @property
    def network_key(self) -> str:
        """Key of the trained network: equal for runs that share one.

        Runs trained with noise are evaluated during training, with their own noise at inference. They share a network
        only if that noise is equal, too.
        """
        return keys.digest(keys.network(self))

    @property
    def pack_key(self) -> str:
        """Key of the pack: equal for runs that may train in one pack."""
        return keys.digest(keys.pack(self))

    def to_flat(self) -> dict[str, Any]:
        """All settings as plain values, by dotted name."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in leaves(self)}

    def to_dict(self) -> dict[str, Any]:
        """All settings as plain values, nested."""
        nested: dict[str, Any] = {}
        for name, value in self.to_flat().items():
            *groups, last = name.split(".")
            group_values = nested
            for group in groups:
                group_values = group_values.setdefault(group, {})
            group_values[last] = value
        return nested

    @cached_property
    def points(self) -> tuple[Point, ...]:
        """The noise points of this run's model."""
        return models.noise_points(self.model.name, self.data.shape, self.data.classes, self.model.batch_norm)

    @property
    def noise_kind(self) -> NoiseKind:
        """The kind of this run's noise."""
        return noise_kinds()[self.noise.kind]

    @property
    def level_settings(self) -> tuple[str, ...]:
        """Names of the ``noise`` settings that give the noise level.

        Raises
        ------
        ConfigError
            None of the combinations that the kind of noise allows is given.
        """
        kind = self.noise_kind
        for names in kind.settings:
            if all(getattr(self.noise, name) is not None for name in names):
                return names
        combinations = ", or ".join(" and ".join(f"noise.{name}" for name in names) for names in kind.settings)
        raise refused("noise.kind", kind.name, f"it needs {combinations}")

    @cached_property
    def levels(self) -> tuple[Levels, ...]:
        """The noise levels at every noise point, in the order of the points."""
        noise, kind = self.noise, self.noise_kind
        settings = {name: getattr(noise, name) for name in self.level_settings}

        def at(point: Point) -> Levels:
            if noise.point not in ("global", "mapped", point.number):
                return Levels(0.0, 0.0)
            if point.after_batch_norm and not noise.on_batch_norm:
                return Levels(0.0, 0.0)
            return kind.levels(
                **{name: value[point.number] if isinstance(value, tuple) else value for name, value in settings.items()}
            )

        return tuple(at(point) for point in self.points)

    @property
    def first_noisy_point(self) -> int | None:
        """The number of the first noise point with a level above zero; None if there is none."""
        return next((point for point, pair in enumerate(self.levels) if max(pair) > 0), None)

    @property
    def noisy(self) -> bool:
        """Whether the noise level at any noise point is above zero."""
        return any(level > 0 for pair in self.levels for level in pair)

    @property
    def noisy_training(self) -> bool:
        """Whether the run is trained with noise."""
        return self.noisy and self.noise.in_training

    @property
    def noise_seed(self) -> int:
        """The seed of the noise at inference."""
        return self.seed if self.noise.seed is None else self.noise.seed


def _build(cls: Any, flat: Mapping[str, Any], prefix: str) -> Any:
    values = {}
    for field, group, validate in _fields(cls):
        name = prefix + field
        if group is not None:
            values[field] = _build(group, flat, f"{name}.")
        elif name in flat:
            try:
                values[field] = validate(flat[name])
            except ValueError as error:
                raise refused(name, flat[name], str(error)) from None
    return cls(**values)


@cache
def _fields(cls: Any) -> list[tuple[str, Any, Any]]:
    """Name of each field, its type if it is a group of settings, and its validator if it is a setting."""
    return [
        (
            field.name,
            type(field.default) if dataclasses.is_dataclass(field.default) else None,
            field.metadata.get("validate"),
        )
        for field in dataclasses.fields(cls)
    ]
