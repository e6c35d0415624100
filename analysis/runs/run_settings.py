"""Settings of runs as columns of the data frame. Settings that differ only in the seed are validated once."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from analysis.runs.known_points import Points
from walking_noise import ConfigError, RunConfig
from walking_noise.config.keys import digest
from walking_noise.config.setting_types import LARGEST_SEED

STORAGE_SETTINGS = ("evaluation.", "training.keep_network")
"""Prefixes of the settings that change what is stored of a result, not the result."""


def is_storage_setting(setting: str) -> bool:
    """Whether a setting, by its dotted name, only changes what is stored of a run."""
    return setting.startswith(STORAGE_SETTINGS)


@dataclass(frozen=True)
class _Validated:
    """Settings that runs with different seeds share: their columns, and the content of the run key."""

    columns: dict[str, Any]
    key_content: dict[str, Any]
    noise_seed: int | None

    def with_seed(self, seed: int) -> dict[str, Any]:
        """The columns of the run with this seed."""
        content = self.key_content | {"seed": seed}
        if self.noise_seed is None and "noise.seed" in content:
            content["noise.seed"] = seed
        own_noise = self.noise_seed not in (None, seed)
        repetition = f"{seed}/{self.noise_seed}" if own_noise else str(seed)
        return self.columns | {"seed": seed, "repetition": repetition, "run_key": digest(content)}


_MOST_KEPT = 8192


class RunSettings:
    """Reader of settings. It keeps up to ``_MOST_KEPT`` of those that it has validated."""

    def __init__(self) -> None:
        self._validated: dict[str, _Validated | str] = {}

    def columns(self, config: Mapping[str, Any], points: Points | None) -> dict[str, Any]:
        """Settings of a run and the columns derived from them, or the reason why the settings are refused.

        Parameters
        ----------
        config
            The field ``config`` of a document.
        points
            The noise points of its model, if they are known.
        """
        seed = config.get("seed")
        if type(seed) is not int or not 0 <= seed <= LARGEST_SEED:
            found = _validate(config, points)
            return found.with_seed(0) if isinstance(found, _Validated) else _refused(found)
        key = repr([(name, value) for name, value in config.items() if name != "seed"])
        if key not in self._validated:
            if len(self._validated) == _MOST_KEPT:
                self._validated.clear()
            self._validated[key] = _validate(config, points)
        found = self._validated[key]
        return found.with_seed(seed) if isinstance(found, _Validated) else _refused(found)


def _validate(config: Mapping[str, Any], points: Points | None) -> _Validated | str:
    """Validated settings, or the reason why they are refused."""
    try:
        run = RunConfig.from_document(config, points)
    except ConfigError as error:
        return str(error)
    flat = {name: tuple(value) if isinstance(value, list) else value for name, value in run.to_flat().items()}
    level = flat["noise.std"] if flat["noise.amplitude"] is None else flat["noise.amplitude"]
    has_level = run.noise.kind != "none" and run.noise.std_mul is None and not isinstance(level, tuple)
    columns = flat | {
        "level": level if has_level else math.nan,
        "repetition": "",
        "points": run.points,
        "noisy": run.noisy,
        "run_key": "",
        "refused": None,
    }
    content = {name: value for name, value in run.canonical().items() if not is_storage_setting(name)}
    return _Validated(columns, content, run.noise.seed)


def _refused(reason: str) -> dict[str, Any]:
    unknown = dict.fromkeys([*RunConfig().to_flat(), "repetition", "points", "noisy", "run_key"])
    return unknown | {"level": math.nan, "refused": reason}
