"""Noise levels of a run at its noise points, and the executions of its noisy layers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from walking_noise.noise import Levels

if TYPE_CHECKING:
    from walking_noise.config.run_config import RunConfig
    from walking_noise.models.point import Point


def levels_at_points(config: RunConfig, settings: Mapping[str, Any]) -> tuple[Levels, ...]:
    """The levels at every noise point that the values of level settings give."""
    noise, kind = config.noise, config.noise_kind

    def at(point: Point) -> Levels:
        if noise.target == "weights" and point.number not in config.weight_points:
            return Levels(0.0, 0.0)
        if noise.point not in ("global", "mapped", point.number):
            return Levels(0.0, 0.0)
        if point.after_batch_norm and not noise.on_batch_norm:
            return Levels(0.0, 0.0)
        return kind.levels(
            **{name: value[point.number] if isinstance(value, tuple) else value for name, value in settings.items()}
        )

    return tuple(at(point) for point in config.points)


def usual_redraw(target: str) -> str:
    """What has noise draws of its own by default: each sample of activations, each batch for weights."""
    return "batch" if target == "weights" else "sample"


def executions(config: RunConfig, point: int) -> int:
    """The number of executions of the layer before a noise point."""
    number = config.noise.executions
    return number[point] if isinstance(number, tuple) else number


def drawn_at_once(config: RunConfig, point: int) -> bool:
    """Whether the mean of executions is drawn once: Gaussian terms, unless one is multiplied by the other."""
    level = config.levels[point]
    both = level.mul > 0 and level.add > 0
    return config.noise_kind.is_gaussian and not (both and config.noise.order == "add_first")


def separate_executions(config: RunConfig, point: int) -> int:
    """The number of executions before a noise point that are drawn one by one; 1 if their mean is drawn at once."""
    return 1 if drawn_at_once(config, point) else executions(config, point)


def drawn_levels(config: RunConfig) -> tuple[Levels, ...]:
    """The levels at inference at which noise is drawn.

    The mean of n executions with Gaussian noise has the level divided by the square root of n.
    """
    found = []
    for point, level in enumerate(config.levels):
        number = executions(config, point)
        if number > 1 and drawn_at_once(config, point):
            level = Levels(level.mul / math.sqrt(number), level.add / math.sqrt(number))
        found.append(level)
    return tuple(found)
