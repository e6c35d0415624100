"""Properties of the noise of a series.

Tables and figures select series by these properties, not by the name of the kind, so that they include new kinds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from analysis.runs.series import Settings
from walking_noise.noise import NoiseKind, noise_kinds


def kind_of(settings: Settings) -> NoiseKind:
    """The noise kind of a series or a run."""
    return noise_kinds()[settings["noise.kind"]]


def has_one_level(settings: Settings) -> bool:
    """Whether one setting gives the level of the noise, as for additive and multiplicative noise."""
    return kind_of(settings).level_setting is not None


def only_adds(settings: Settings) -> bool:
    """Whether the noise has one level and nothing but an additive term."""
    return has_one_level(settings) and kind_of(settings).adds and not kind_of(settings).multiplies


def multiplies(settings: Settings) -> bool:
    """Whether the noise has one level and a multiplicative term."""
    return has_one_level(settings) and kind_of(settings).multiplies


def is_mixed(settings: Settings) -> bool:
    """Whether the noise has a multiplicative and an additive term, set by two settings."""
    return not has_one_level(settings) and kind_of(settings).multiplies and kind_of(settings).adds


def additive_std(run: Mapping[str, Any]) -> float:
    """Standard deviation of the additive term of a run whose noise has one level."""
    return kind_of(run).at_level(run["level"]).add
