"""Canonical form of a run's settings, and the keys derived from it: equivalent runs have equal forms and equal keys.

The canonical form describes noise by its levels at each noise point. So a run at level 0 of any series equals the run
without noise. Settings without effect (the order of the terms if there is only one, the noise seed without noise) are
omitted. So are settings that are marked as added later and have their default: the keys of stored runs do not change.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from walking_noise.config.noise_levels import executions, usual_redraw
from walking_noise.fields.setting_groups import defaults_added_later

if TYPE_CHECKING:
    from walking_noise.config.run_config import RunConfig
    from walking_noise.noise import Levels

PACK_SETTINGS = (
    "data.name",
    "data.transform",
    "data.validation",
    "data.keywords",
    "model.name",
    "model.batch_norm",
    "model.points",
    "model.hidden",
    "training.epochs",
    "training.batch_size",
    "training.learning_rate",
)
"""Settings that must be equal in a pack: all that change the shape of a tensor, the number or the size of steps."""


def pack(config: RunConfig) -> dict[str, Any]:
    """Content of the pack key: the settings that must be equal in a pack."""
    settings = _settings(config)
    return {name: settings[name] for name in PACK_SETTINGS if name in settings}


def training(config: RunConfig) -> dict[str, Any]:
    """Content of the training key: everything that determines the trained weights.

    Noise at inference, ``evaluation`` and ``training.keep_network`` are not part of it.
    """
    settings = _settings(config)
    content = {
        name: value
        for name, value in settings.items()
        if not name.startswith(("noise.", "evaluation.")) and name != "training.keep_network"
    }
    content.pop("distillation.teacher_seed", None)
    if config.teacher is not None:
        content["teacher"] = config.teacher.training_key
    if config.noisy_training:
        content["training noise"] = _noise(config, settings, config.training_levels, config.training_redraw)
        if config.training_redraw == "chip":
            content["training chip"] = config.training_noise_seed
        if any(level.mul > 0 for level in config.training_levels):
            content["noise.gradient"] = config.noise.gradient
    return content


def network(config: RunConfig) -> dict[str, Any]:
    """Content of the network key: everything that determines the trained network and the evaluations during training.

    Runs trained with noise are evaluated during training, with their own noise at inference, which has its own seed;
    unless they have a training level of their own.
    """
    content = training(config)
    if not config.shares_network:
        content["noise.seed"] = config.noise_seed
        if config.redraw != config.training_redraw:
            content["redraw"] = config.redraw
        content |= _executions(config)
    return content


def run(config: RunConfig) -> dict[str, Any]:
    """Content of the run key: everything that determines the result."""
    settings = _settings(config)
    content = training(config) | {name: value for name, value in settings.items() if name.startswith("evaluation.")}
    if not (config.evaluated_once and config.noisy):
        content.pop("evaluation.noise_draws", None)
    if not config.evaluated_once:
        content.pop("evaluation.recalibrate", None)
    if config.noisy:
        content["inference noise"] = _noise(config, settings, config.levels, config.redraw)
        content["noise.seed"] = config.noise_seed
        content |= _executions(config)
    if not config.evaluated_in_training:
        content["evaluated"] = "once"
    return content


def _executions(config: RunConfig) -> dict[str, list[int]]:
    """The numbers of executions, 1 at points without noise; nothing if all are 1."""
    numbers = [executions(config, point) if max(level) > 0 else 1 for point, level in enumerate(config.levels)]
    return {"executions": numbers} if max(numbers) > 1 else {}


def derived_seed(seed: int, purpose: str) -> int:
    """Another seed, a function of a seed and of what it is used for."""
    return int(hashlib.blake2b(f"{seed} {purpose}".encode(), digest_size=6).hexdigest(), 16)


def digest(content: dict[str, Any]) -> str:
    """The key of a content, as 20 hexadecimal digits: equal for equal contents."""
    return hashlib.blake2b(_json.encode(content).encode(), digest_size=10).hexdigest()


_json = json.JSONEncoder(sort_keys=True, separators=(",", ":"))


def _settings(config: RunConfig) -> dict[str, Any]:
    """All settings by dotted name, without those that were added later and have their default."""
    settings = config.to_flat()
    for name, default in defaults_added_later(type(config)).items():
        if settings[name] == default:
            del settings[name]
    return settings


def _noise(config: RunConfig, settings: dict[str, Any], levels: tuple[Levels, ...], redraw: str) -> dict[str, Any]:
    """The noise as its levels at each noise point, its distribution unless Gaussian, and the order of its terms.

    ``settings`` has the settings of noise that were added later and change it. ``redraw`` is what has draws of its own.
    """
    kind = config.noise_kind
    noise: dict[str, Any] = {"levels": [list(level[: 3 if kind.transform else 2]) for level in levels]}
    if not kind.is_gaussian:
        noise["distribution of"] = kind.name
    if any(level.mul > 0 and level.add > 0 for level in levels):
        noise["order"] = config.noise.order
    if redraw != usual_redraw(config.noise.target):
        noise["redraw"] = redraw
    for name in defaults_added_later(type(config)):
        group, _, last = name.rpartition(".")
        if last in ("level_draws", "redraw", "training_redraw", "training_seed", "executions"):  # not of both streams
            continue
        if name in settings and group == "noise" and last.removeprefix("training_") not in config.level_settings:
            noise[name] = settings[name]
    return noise
