"""Consistency of a run's settings: settings that contradict each other, and settings without effect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from walking_noise import data, models
from walking_noise.config.settings import CommonNoiseConfig, NoiseConfig
from walking_noise.errors import refused
from walking_noise.registry import is_own

if TYPE_CHECKING:
    from walking_noise.config.run_config import RunConfig

LEVEL_SETTINGS = ("std", "amplitude", "ratio", "std_mul", "std_add")
TRAINING_LEVEL_SETTINGS = ("training_std", "training_std_mul", "training_std_add")
OWN_SETTINGS = tuple(name for name in NoiseConfig.model_fields if name not in CommonNoiseConfig.model_fields)
"""Settings that a single kind of noise has."""


def check_consistency(config: RunConfig) -> None:
    """Raise :class:`ConfigError` if settings of a run contradict each other or have no effect."""
    _check_data(config)
    _check_model(config)
    _check_point(config)
    _check_levels(config)
    _check_training_levels(config)
    _check_target(config)
    _check_redraw(config)
    _check_executions(config)
    _check_distillation(config)
    _check_effect(config)


def check_last_batch(config: RunConfig, samples: int) -> None:
    """Raise :class:`ConfigError` if BatchNorm would train on a batch of one of the training samples."""
    size = config.training.batch_size
    if config.model.batch_norm and samples % size == 1:
        fault = f"with {samples} training samples the last batch has one sample, on which BatchNorm cannot train"
        raise refused("training.batch_size", size, fault)


def _check_data(config: RunConfig) -> None:
    source = data.source(config.data.name)
    if config.data.transform not in source.transforms:
        allowed = ", ".join(source.transforms)
        raise refused("data.transform", config.data.transform, f"allowed for {source.name}: {allowed}")
    if config.data.keywords is not None and not source.takes_keywords:
        reason = f"it has no effect with data.name {source.name!r}; leave it out"
        raise refused("data.keywords", list(config.data.keywords), reason)


def _check_model(config: RunConfig) -> None:
    name, hidden = config.model.name, config.model.hidden
    if hidden is not None and (is_own(name) or not models.models()[name].hidden):
        raise refused("model.hidden", list(hidden), f"it has no effect on {name}; leave it out")
    try:
        _ = config.points
    except ValueError as error:
        reason = f"the model cannot be built for data.name {config.data.name!r}: {error}"
        raise refused("model.name", config.model.name, reason) from None


def _check_point(config: RunConfig) -> None:
    point, last = config.noise.point, len(config.points) - 1
    if isinstance(point, int) and point > last:
        norm = "with" if config.model.batch_norm else "without"
        raise refused("noise.point", point, f"{config.model.name} {norm} BatchNorm has noise points 0..{last}")


def _check_levels(config: RunConfig) -> None:
    noise, used, options = config.noise, config.level_settings, config.noise_kind.options
    for name in (*LEVEL_SETTINGS, *OWN_SETTINGS):
        if name in options:
            continue
        value = getattr(noise, name)
        if name not in used and name in OWN_SETTINGS:
            _require_default(config, name, f"it has no effect with noise.kind {noise.kind!r}")
        elif name not in used:
            reason = f"it has no effect, since noise.kind {noise.kind!r} takes its level from {_names(used)}"
            _require_default(config, name, reason if used else "it has no effect without noise")
        else:
            _check_list(config, name, value)
    if noise.point == "mapped" and used and not any(isinstance(getattr(noise, name), tuple) for name in used):
        raise refused("noise.point", "mapped", f"it requires {_names(used)} as a list with one level per noise point")


def _check_training_levels(config: RunConfig) -> None:
    noise, used, given = config.noise, config.level_settings, config.training_level_settings
    for name in TRAINING_LEVEL_SETTINGS:
        level = name.removeprefix("training_")
        value = getattr(noise, name)
        if level not in used:
            _require_default(config, name, f"it has no effect, since noise.{level} is not the noise level")
        elif value is None and given:
            raise refused(
                f"noise.{name}", value, f"it is needed beside {_names(tuple(f'training_{one}' for one in given))}"
            )
        elif value is not None:
            _check_list(config, name, value)
            if not noise.in_training:
                _require_default(config, name, "it has no effect with noise.in_training: false")
    if given and config.evaluation.curve:
        raise refused(
            "evaluation.curve", True, "with a level in training of its own, a run is evaluated once; leave it out"
        )


def _check_target(config: RunConfig) -> None:
    noise, kind, behind_weights = config.noise, config.noise_kind, config.weight_points
    if noise.target == "weights":
        if not kind.has_effect:
            raise refused("noise.target", "weights", "it has no effect without noise; leave it out")
        if not behind_weights:
            raise refused(
                "noise.target", "weights", f"no noise point of {config.model.name} follows a layer with weights"
            )
        listed = ", ".join(str(config.points[number]) for number in behind_weights)
        if isinstance(noise.point, int) and noise.point not in behind_weights:
            raise refused("noise.point", noise.point, f"allowed for noise on weights: {listed}")
        for name in (*config.level_settings, *(f"training_{one}" for one in config.training_level_settings)):
            value = getattr(noise, name)
            if isinstance(value, tuple) and any(
                value[point.number] for point in config.points if point.number not in behind_weights
            ):
                raise refused(f"noise.{name}", value, f"noise on weights needs level 0 at all points but {listed}")
    if not kind.adds or kind.multiplies:
        _require_default(config, "unit", f"it has no effect on the level of noise.kind {kind.name!r}")
    if noise.target != "weights" or noise.unit == "absolute":
        _require_default(config, "per_channel", "it has an effect only on a unit of noise on weights")


def _check_redraw(config: RunConfig) -> None:
    noise, kind = config.noise, config.noise_kind
    if not kind.has_effect or kind.transform:
        for name in ("redraw", "training_redraw", "training_seed"):
            _require_default(config, name, f"it has no effect, since {kind.name} draws no random numbers")
        return
    if not noise.in_training:
        _require_default(config, "training_redraw", "it has no effect with noise.in_training: false")
    elif noise.target == "weights" and config.training_redraw == "sample":
        setting = "redraw" if noise.training_redraw is None else "training_redraw"
        reason = "in training, weights are drawn for each batch or chip; set noise.training_redraw to one of them"
        raise refused(f"noise.{setting}", "sample", reason)
    if not noise.in_training or config.training_redraw != "chip":
        _require_default(
            config, "training_seed", "it has an effect only on noise in training that is drawn once per chip"
        )


def _check_executions(config: RunConfig) -> None:
    noise, value = config.noise, config.noise.executions
    if not config.noise_kind.has_effect or config.noise_kind.transform:
        _require_default(config, "executions", f"it has no effect, since {noise.kind} draws no random numbers")
    if value != 1 and config.redraw == "chip":
        reason = "all executions on one chip have the same noise, so that their mean gains nothing; leave it out"
        raise refused("noise.executions", value, reason)
    if isinstance(value, tuple) and len(value) != len(config.points):
        reason = f"the list must have one number for each of the {len(config.points)} noise points"
        raise refused("noise.executions", value, reason)


def _check_distillation(config: RunConfig) -> None:
    own = config.distillation
    if not own.soft_label_share and own.temperature != 1:
        reason = "it has no effect with distillation.soft_label_share 0; leave it out"
        raise refused("distillation.temperature", own.temperature, reason)
    if config.teacher is None and own.teacher_seed is not None:
        reason = "it has no effect without distillation.soft_label_share or distillation.initialise; leave it out"
        raise refused("distillation.teacher_seed", own.teacher_seed, reason)


def _check_list(config: RunConfig, name: str, value: object) -> None:
    """Raise :class:`ConfigError` if a list of levels does not fit the noise points."""
    if isinstance(value, tuple) and config.noise.point != "mapped":
        raise refused(f"noise.{name}", value, "a list of levels requires noise.point: mapped")
    if isinstance(value, tuple) and len(value) != len(config.points):
        reason = f"the list must have one level for each of the {len(config.points)} noise points"
        raise refused(f"noise.{name}", value, reason)


def _check_effect(config: RunConfig) -> None:
    noise = config.noise
    kind = config.noise_kind
    if kind.transform:
        for name in ("seed", "level_draws"):
            _require_default(config, name, f"it has no effect, since {kind.name} draws no random numbers")
        if config.evaluation.noise_draws > 1:
            reason = f"it has no effect, since {kind.name} draws no random numbers; leave it out"
            raise refused("evaluation.noise_draws", config.evaluation.noise_draws, reason)
    if not kind.has_effect:
        for name in ("point", "on_batch_norm", "in_training", "seed", "level_draws"):
            _require_default(config, name, "it has no effect without noise")
    if (
        noise.point != "global"
        or noise.target == "weights"
        or not any(point.after_batch_norm for point in config.points)
    ):
        _require_default(config, "on_batch_norm", "it has an effect only with global noise and BatchNorm")
    if not (kind.multiplies and noise.in_training) or noise.target == "weights":
        reason = "it has an effect only on activations, with multiplicative or mixed noise in training"
        _require_default(config, "gradient", reason)
    if not (kind.multiplies and kind.adds):
        _require_default(config, "order", "it has an effect only with mixed noise")
    _check_evaluation(config)
    if config.evaluation.curve and not noise.in_training:
        raise refused("evaluation.curve", True, "with noise at inference only, a run is evaluated once; leave it out")


def _check_evaluation(config: RunConfig) -> None:
    evaluation = config.evaluation
    for name in ("noise_draws", "recalibrate"):
        value = getattr(evaluation, name)
        if value == type(evaluation).model_fields[name].default:
            continue
        if not (config.evaluated_once or config.noise_kind.has_effect):
            raise refused(f"evaluation.{name}", value, "it has no effect without noise; leave it out")
        if not config.shares_network:
            reason = "a run that is trained with noise is evaluated during training; set noise.training_std, too"
            raise refused(f"evaluation.{name}", value, reason)
    if evaluation.recalibrate and not config.model.batch_norm and not is_own(config.model.name):
        raise refused("evaluation.recalibrate", True, "it has no effect without model.batch_norm; leave it out")
    if evaluation.recalibrate and config.noise.target == "weights" and config.redraw == "sample":
        raise refused(
            "evaluation.recalibrate", True, "weights with draws for each sample have no batch to be calibrated on"
        )


def _require_default(config: RunConfig, name: str, reason: str) -> None:
    """Raise :class:`ConfigError` with this reason if ``noise.NAME`` does not have its default value."""
    value: Any = getattr(config.noise, name)
    if value != type(config.noise).model_fields[name].default:
        raise refused(f"noise.{name}", value, f"{reason}; leave it out")


def _names(settings: tuple[str, ...]) -> str:
    return " and ".join(f"noise.{name}" for name in settings) or "no setting"
