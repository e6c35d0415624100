"""What no single setting can see: settings that do not fit each other, and settings without effect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from walking_noise import data
from walking_noise.errors import refused

if TYPE_CHECKING:
    from walking_noise.config.run_config import RunConfig

LEVEL_SETTINGS = ("std", "amplitude", "ratio", "std_mul", "std_add")


def check(config: RunConfig) -> None:
    """Refuse a run whose settings do not fit each other or have no effect, with a :class:`ConfigError`."""
    _check_data(config)
    _check_model(config)
    _check_point(config)
    _check_levels(config)
    _check_effect(config)


def _check_data(config: RunConfig) -> None:
    source = data.sources()[config.data.name]
    if config.data.transform not in source.transforms:
        allowed = ", ".join(source.transforms)
        raise refused("data.transform", config.data.transform, f"allowed for {source.name}: {allowed}")
    if config.data.keywords is not None and not source.takes_keywords:
        fault = f"it has no effect with data.name {source.name!r}; leave it out"
        raise refused("data.keywords", list(config.data.keywords), fault)


def _check_model(config: RunConfig) -> None:
    try:
        _ = config.points
    except ValueError as error:
        fault = f"it cannot be built for data.name {config.data.name!r}: {error}"
        raise refused("model.name", config.model.name, fault) from None


def _check_point(config: RunConfig) -> None:
    point, last = config.noise.point, len(config.points) - 1
    if isinstance(point, int) and point > last:
        norm = "with" if config.model.batch_norm else "without"
        raise refused("noise.point", point, f"{config.model.name} {norm} BatchNorm has the points 0..{last}")


def _check_levels(config: RunConfig) -> None:
    noise, needed = config.noise, config.level_settings
    for name in LEVEL_SETTINGS:
        value = getattr(noise, name)
        if name not in needed:
            _must_be_default(config, name, f"with noise.kind {noise.kind!r} given by {_names(needed)}")
        elif isinstance(value, tuple) and noise.point != "mapped":
            raise refused(f"noise.{name}", value, "a list of levels needs noise.point: mapped")
        elif isinstance(value, tuple) and len(value) != len(config.points):
            fault = f"a list needs one level for each of the {len(config.points)} noise points"
            raise refused(f"noise.{name}", value, fault)
    if noise.point == "mapped" and needed and not any(isinstance(getattr(noise, name), tuple) for name in needed):
        raise refused("noise.point", "mapped", f"give {_names(needed)} as a list with one level per noise point")


def _check_effect(config: RunConfig) -> None:
    noise = config.noise
    kind = config.noise_kind
    if not (kind.multiplies or kind.adds):
        for name in ("point", "on_batch_norm", "in_training", "seed"):
            _must_be_default(config, name, "without noise")
    if noise.point != "global" or not config.model.batch_norm:
        _must_be_default(config, "on_batch_norm", "but with global noise and BatchNorm")
    if not (kind.multiplies and noise.in_training):
        _must_be_default(config, "gradient", "but with multiplicative noise in training")
    if not (kind.multiplies and kind.adds):
        _must_be_default(config, "order", "but with mixed noise")
    if config.evaluation.curve and not noise.in_training:
        raise refused("evaluation.curve", True, "noise at inference only is evaluated once; leave it out")


def _must_be_default(config: RunConfig, name: str, when: str) -> None:
    value: Any = getattr(config.noise, name)
    if value != getattr(type(config.noise)(), name):
        raise refused(f"noise.{name}", value, f"it has no effect {when}; leave it out")


def _names(settings: tuple[str, ...]) -> str:
    return " and ".join(f"noise.{name}" for name in settings) or "nothing"
