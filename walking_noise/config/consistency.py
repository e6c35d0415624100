"""Consistency of a run's settings: settings that contradict each other, and settings without effect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from walking_noise import data
from walking_noise.config.settings import CommonNoiseConfig, NoiseConfig
from walking_noise.errors import refused

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
    _check_effect(config)


def _check_data(config: RunConfig) -> None:
    source = data.source(config.data.name)
    if config.data.transform not in source.transforms:
        allowed = ", ".join(source.transforms)
        raise refused("data.transform", config.data.transform, f"allowed for {source.name}: {allowed}")
    if config.data.keywords is not None and not source.takes_keywords:
        reason = f"it has no effect with data.name {source.name!r}; leave it out"
        raise refused("data.keywords", list(config.data.keywords), reason)


def _check_model(config: RunConfig) -> None:
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
    if noise.point != "global" or not any(point.after_batch_norm for point in config.points):
        _require_default(config, "on_batch_norm", "it has an effect only with global noise and BatchNorm")
    if not (kind.multiplies and noise.in_training):
        _require_default(config, "gradient", "it has an effect only with multiplicative or mixed noise in training")
    if not (kind.multiplies and kind.adds):
        _require_default(config, "order", "it has an effect only with mixed noise")
    if config.evaluation.noise_draws > 1 and not (config.evaluated_once or kind.has_effect):
        raise refused(
            "evaluation.noise_draws", config.evaluation.noise_draws, "it has no effect without noise; leave it out"
        )
    if config.evaluation.noise_draws > 1 and not config.shares_network:
        reason = "a run that is evaluated after its last epochs has one draw for each; set noise.training_std, too"
        raise refused("evaluation.noise_draws", config.evaluation.noise_draws, reason)
    if config.evaluation.curve and not noise.in_training:
        raise refused("evaluation.curve", True, "with noise at inference only, a run is evaluated once; leave it out")


def _require_default(config: RunConfig, name: str, reason: str) -> None:
    """Raise :class:`ConfigError` with this reason if ``noise.NAME`` does not have its default value."""
    value: Any = getattr(config.noise, name)
    if value != type(config.noise).model_fields[name].default:
        raise refused(f"noise.{name}", value, f"{reason}; leave it out")


def _names(settings: tuple[str, ...]) -> str:
    return " and ".join(f"noise.{name}" for name in settings) or "no setting"
