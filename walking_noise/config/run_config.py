"""Settings of a run, and the quantities derived from them."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from pydantic import ValidationError

from walking_noise import models
from walking_noise.config import keys
from walking_noise.config import settings as groups
from walking_noise.config.consistency import check_consistency
from walking_noise.config.noise_levels import drawn_levels, levels_at_points, separate_executions, usual_redraw
from walking_noise.config.setting_schemas import refusal
from walking_noise.errors import ConfigError, refused
from walking_noise.fields.setting_groups import Group, flatten, getter_of_settings, nest, setting_names
from walking_noise.fields.setting_types import Seed
from walking_noise.models.point import Point, points_behind_weights
from walking_noise.noise import Levels, NoiseKind, noise_kinds

if TYPE_CHECKING:
    from torch import nn

NOT_SETTINGS = ("db_collection", "overwrite", "__doc__")
"""Keys that SEML and Sacred add to the config of a run."""


class RunConfig(Group):
    """Settings of one run.

    Build it with :meth:`from_dict`, which also checks that the settings fit together.
    """

    data: groups.DataConfig = groups.DataConfig()
    model: groups.ModelConfig = groups.ModelConfig()
    noise: groups.NoiseConfig = groups.NoiseConfig()
    training: groups.TrainingConfig = groups.TrainingConfig()
    distillation: groups.DistillationConfig = groups.DistillationConfig()
    evaluation: groups.EvaluationConfig = groups.EvaluationConfig()
    seed: Seed = 0
    """Seed of initialisation, sample order, augmentation and noise."""

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
        known = setting_names(cls)
        for name in flat:
            if name not in known:
                close = difflib.get_close_matches(name, known, n=1)
                hint = f"did you mean {close[0]}?" if close else f"known settings: {', '.join(known)}"
                raise ConfigError(f"{name}: there is no such setting; {hint}")
        try:
            config = cls.model_validate(nest(flat))
        except ValidationError as error:
            raise refusal(cls, flat, error) from None
        if points is not None:
            vars(config)["points"] = points
        check_consistency(config)
        return config

    @classmethod
    def from_document(cls, config: Mapping[str, Any], points: tuple[Point, ...] | None = None) -> RunConfig:
        """The run in the field ``config`` of a Sacred document, without the keys that SEML and Sacred add to it."""
        return cls.from_dict({name: value for name, value in config.items() if name not in NOT_SETTINGS}, points)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy with other groups of settings. Unlike pydantic's, it computes the levels anew."""
        groups = {name: getattr(self, name) for name in type(self).model_fields}
        return self.model_construct(**{**groups, **(update or {})})

    def without_noise(self) -> RunConfig:
        """The same run without noise."""
        return self.model_copy(update={"noise": groups.NoiseConfig(kind="none")})

    def initial_network(self) -> nn.Sequential:
        """The untrained network, with torch's default initialisation drawn from the run's seed."""
        return models.initialised(self.architecture, self.seed)

    @property
    def architecture(self) -> models.Architecture:
        """What determines the layers and noise points of this run's network."""
        data, model = self.data, self.model
        hidden = model.hidden or ()
        return models.Architecture(model.name, data.shape, data.classes, model.batch_norm, model.points, hidden)

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
        values = zip(setting_names(type(self)), getter_of_settings(type(self))(self), strict=True)
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values}

    def to_dict(self) -> dict[str, Any]:
        """All settings as plain values, nested."""
        return nest(self.to_flat())

    @cached_property
    def points(self) -> tuple[Point, ...]:
        """The noise points of this run's model."""
        return models.points(self.architecture)

    @property
    def noise_kind(self) -> NoiseKind:
        """The kind of this run's noise."""
        return noise_kinds()[self.noise.kind]

    @property
    def level_settings(self) -> tuple[str, ...]:
        """Names of the ``noise`` settings that give the noise level.

        Raise :class:`ConfigError` if none of the combinations that the kind of noise allows is given.
        """
        kind = self.noise_kind
        for names in kind.settings:
            if all(getattr(self.noise, name) is not None for name in names):
                return names
        combinations = ", or ".join(" and ".join(f"noise.{name}" for name in names) for names in kind.settings)
        raise refused("noise.kind", kind.name, f"it needs {combinations}")

    @property
    def noise_options(self) -> dict[str, Any]:
        """The settings that only this kind of noise has and that are no levels, by name."""
        return {name: getattr(self.noise, name) for name in self.noise_kind.options}

    @cached_property
    def levels(self) -> tuple[Levels, ...]:
        """The noise levels at every noise point, in the order of the points."""
        return levels_at_points(self, {name: getattr(self.noise, name) for name in self.level_settings})

    @cached_property
    def training_levels(self) -> tuple[Levels, ...]:
        """The noise levels at every noise point in training."""
        if not self.noise.in_training:
            return (Levels(0.0, 0.0),) * len(self.points)
        given = self.training_level_settings
        if not given:
            return self.levels
        return levels_at_points(self, {name: getattr(self.noise, f"training_{name}") for name in given})

    @cached_property
    def drawn_levels(self) -> tuple[Levels, ...]:
        """The levels at inference at which noise is drawn: with several executions, those of their mean if Gaussian."""
        return drawn_levels(self)

    def separate_executions(self, point: int) -> int:
        """The number of executions before a noise point that are drawn one by one at inference."""
        return separate_executions(self, point)

    @property
    def training_level_settings(self) -> tuple[str, ...]:
        """Names of the level settings that have another value in training, ``noise.training_NAME``."""
        return tuple(name for name in self.level_settings if getattr(self.noise, f"training_{name}", None) is not None)

    @cached_property
    def weight_points(self) -> tuple[int, ...]:
        """The numbers of the noise points that stand for noise on the weights of the layer before them."""
        return points_behind_weights(self.points)

    @property
    def redraw(self) -> str:
        """What has noise draws of its own at inference: ``sample``, ``batch`` or ``chip``."""
        return self.noise.redraw or usual_redraw(self.noise.target)

    @property
    def training_redraw(self) -> str:
        """What has noise draws of its own in training."""
        return self.noise.training_redraw or self.redraw

    @property
    def training_noise_seed(self) -> int:
        """The seed of the noise in training: that of the run, or the chip."""
        if self.training_redraw != "chip":
            return self.seed
        return self.noise_seed if self.noise.training_seed is None else self.noise.training_seed

    @property
    def first_noisy_point(self) -> int | None:
        """The number of the first noise point with a level above zero at inference; None if there is none."""
        return _first_above_zero(self.levels)

    @property
    def first_noisy_training_point(self) -> int | None:
        """The number of the first noise point with a level above zero in training; None if there is none."""
        return _first_above_zero(self.training_levels)

    @property
    def noisy(self) -> bool:
        """Whether the noise level at any noise point is above zero at inference."""
        return self.first_noisy_point is not None

    @property
    def noisy_training(self) -> bool:
        """Whether the run is trained with noise."""
        return self.first_noisy_training_point is not None

    @property
    def shares_network(self) -> bool:
        """Whether runs with other noise at inference have the same network, because none is evaluated in training."""
        return not self.noisy_training or bool(self.training_level_settings)

    @property
    def evaluated_once(self) -> bool:
        """Whether the run is evaluated once, on the trained network, instead of after each of the last epochs."""
        return self.shares_network and (self.noisy or self.noisy_training)

    @property
    def evaluated_in_training(self) -> bool:
        """Whether the network is evaluated after the last epochs: unless it is trained at a level of its own."""
        return not (self.noisy_training and self.shares_network)

    def training_only(self) -> RunConfig:
        """The run that trains a shared network: without noise at inference, and without records of an evaluation."""
        if not self.noisy_training:
            return self.without_noise().model_copy(update={"evaluation": groups.EvaluationConfig()})
        noise = {**dict.fromkeys(self.level_settings, 0.0), "seed": None, "executions": 1}
        if self.training_redraw == "chip":
            noise["training_seed"] = self.training_noise_seed
        plain = {"noise": self.noise.model_copy(update=noise), "evaluation": groups.EvaluationConfig()}
        return self.model_copy(update=plain)

    @cached_property
    def teacher(self) -> RunConfig | None:
        """The run that trains the teacher of this one: without noise, with otherwise equal settings; None without."""
        own = self.distillation
        if not (own.soft_label_share or own.initialise):
            return None
        seed = self.seed if own.teacher_seed is None else own.teacher_seed
        plain = {"distillation": groups.DistillationConfig(), "evaluation": groups.EvaluationConfig(), "seed": seed}
        training = self.training.model_copy(update={"keep_network": False})
        return self.without_noise().model_copy(update={**plain, "training": training})

    @property
    def with_teacher(self) -> list[RunConfig]:
        """The run, and the one that trains its teacher if it has one."""
        return [self] if self.teacher is None else [self, self.teacher]

    @property
    def noise_seed(self) -> int:
        """The seed of the noise at inference."""
        seed = self.seed if self.noise.seed is None else self.noise.seed
        return seed if self.noise.level_draws == "shared" else keys.derived_seed(seed, repr(self.levels))

    def with_draw(self, draw: int) -> RunConfig:
        """The run with one of its independent draws of the noise at inference; draw 0 is that of its seed."""
        if not draw:
            return self
        noise = {"seed": keys.derived_seed(self.noise_seed, f"draw {draw}"), "level_draws": "shared"}
        return self.model_copy(update={"noise": self.noise.model_copy(update=noise)})


def _first_above_zero(levels: tuple[Levels, ...]) -> int | None:
    return next((point for point, each in enumerate(levels) if max(each) > 0), None)
