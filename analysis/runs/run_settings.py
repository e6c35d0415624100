"""Settings of runs as columns of the data frame. Settings that differ only in level and seed are validated once."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from analysis.runs.known_points import Points
from walking_noise import ConfigError, RunConfig
from walking_noise.config.keys import digest
from walking_noise.fields.setting_types import LARGEST, LARGEST_SEED, SMALLEST
from walking_noise.noise import noise_kinds

STORAGE_SETTINGS = ("evaluation.curve", "evaluation.confusion", "training.keep_network")
"""The settings that change what is stored of a result, not the result."""

CURVE_LEVELS = (
    "noise.std",
    "noise.amplitude",
    *(f"noise.{kind.settings[0][0]}" for kind in noise_kinds().values() if kind.transform),
)
"""Settings that can be the level of a robustness curve."""

OWN_COLUMNS = (*CURVE_LEVELS, "seed", "level", "repetition", "noisy", "run_key")
"""Columns in which runs with the same validated settings may differ."""


def is_storage_setting(setting: str) -> bool:
    """Whether a setting, by its dotted name, only changes what is stored of a run."""
    return setting in STORAGE_SETTINGS


@dataclass(frozen=True, eq=False)
class Validated:
    """Settings of runs that may differ in level and seed.

    Attributes
    ----------
    columns
        The columns of the settings except :data:`OWN_COLUMNS`.
    run
        One of the runs; None if the settings are refused.
    level_name
        Name of the ``noise`` setting that is the level; None without a single level.
    """

    columns: dict[str, Any]
    run: RunConfig | None = None
    level_name: str | None = None

    def at(self, level: float) -> RunConfig:
        """The run at an allowed level."""
        assert self.run is not None
        noise = self.run.noise.model_copy(update={str(self.level_name): level + 0.0})  # -0.0 is 0.0
        run = self.run.model_copy(update={"noise": noise})
        vars(run)["points"] = self.run.points
        return run


class RunSettings:
    """Reader of settings. It keeps up to ``_MOST_KEPT`` of those that it has validated."""

    _MOST_KEPT = 8192

    def __init__(self) -> None:
        self._validated: dict[str, Validated] = {}
        self._derived = lru_cache(self._MOST_KEPT)(lambda validated, level: _derived(validated.at(level)))

    def read(self, config: Mapping[str, Any], points: Points | None) -> tuple[dict[str, Any], dict[str, Any]]:
        """Columns of the settings of a run: those that it shares with other runs, and its :data:`OWN_COLUMNS`.

        Parameters
        ----------
        config
            The field ``config`` of a document.
        points
            The noise points of its model, if they are known.
        """
        noise, seed = config.get("noise"), config.get("seed")
        noise = noise if isinstance(noise, Mapping) else {}
        name = "std" if noise.get("amplitude") is None else "amplitude"
        level = noise.get(name)
        if not _is_level(level) or type(seed) is not int or not 0 <= seed <= LARGEST_SEED:
            validated = _validate(config, points)
            return validated.columns, _own(_derived(validated.run), validated.run.seed) if validated.run else _UNKNOWN
        key = repr({**config, "noise": {**noise, name: None}, "seed": None})
        key_with_level = f"{key} {level!r}"
        validated = self._validated.get(key) or self._validated.get(key_with_level) or _validate(config, points)
        self._keep(key if validated.level_name == name else key_with_level, validated)
        if validated.run is None:
            return validated.columns, _UNKNOWN
        derived = self._derived(validated, level) if validated.level_name == name else _derived(validated.run)
        return validated.columns, _own(derived, seed)

    def _keep(self, key: str, validated: Validated) -> None:
        if key not in self._validated:
            if len(self._validated) == self._MOST_KEPT:
                self._validated.clear()
            self._validated[key] = validated


def _is_level(value: Any) -> bool:
    """Whether a value is a level that every setting of a level allows as it is."""
    return type(value) is float and (value == 0 or SMALLEST <= value <= LARGEST)


def _validate(config: Mapping[str, Any], points: Points | None) -> Validated:
    try:
        run = RunConfig.from_document(config, points)
    except ConfigError as error:
        return Validated(_SHARED | {"refused": str(error)})
    flat = {name: tuple(value) if isinstance(value, list) else value for name, value in run.to_flat().items()}
    columns = {name: flat.get(name) for name in _SHARED} | {"points": run.points}
    levels = [name for name in run.level_settings if name in ("std", "amplitude")]
    single = levels and not isinstance(getattr(run.noise, levels[0]), tuple)
    return Validated(columns, run, levels[0] if single else None)


def _derived(run: RunConfig) -> tuple[dict[str, Any], str, int | None]:
    """Columns of a run without those of its seed, its run key without its seeds, and the seed of its noise."""
    noise = run.noise
    columns = {name: getattr(noise, name.removeprefix("noise.")) for name in CURVE_LEVELS}
    columns |= {"level": _level(run), "noisy": run.noisy or run.noisy_training}
    content = {name: value for name, value in run.canonical().items() if not is_storage_setting(name)}
    seeds = {"seed", "noise.seed"}.intersection(content)
    return columns, digest({name: content[name] for name in content.keys() - seeds}), noise.seed


def _level(run: RunConfig) -> float:
    """The level on the robustness curve; NaN without a single one."""
    noise, kind = run.noise, run.noise_kind
    name = next(iter(run.level_settings), "std_mul")
    value = getattr(noise, name)
    if name == "std_mul" or isinstance(value, tuple):
        return math.nan
    return kind.levels(value).transform if kind.transform else float(value)


def _own(derived: tuple[dict[str, Any], str, int | None], seed: int) -> dict[str, Any]:
    """The :data:`OWN_COLUMNS` of the run with this seed."""
    columns, key, noise_seed = derived
    repetition = f"{seed}/{noise_seed}" if noise_seed not in (None, seed) else str(seed)
    seeds = repetition if columns["noisy"] else seed  # without noise, its seed has no effect
    return columns | {"seed": seed, "repetition": repetition, "run_key": f"{key} {seeds}"}


_SHARED = dict.fromkeys([*(name for name in RunConfig().to_flat() if name not in OWN_COLUMNS), "points", "refused"])
_UNKNOWN = dict.fromkeys(OWN_COLUMNS) | {"level": math.nan}
"""Own columns of a run whose settings are refused."""
