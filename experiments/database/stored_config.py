"""Conversion of a stored config, as written by SEML and Sacred, to a :class:`walking_noise.RunConfig`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from walking_noise import RunConfig

NOT_SETTINGS = ("db_collection", "overwrite", "__doc__")
"""Keys that SEML and Sacred add to a run's config. They are not settings of the run."""


def run_config(config: Mapping[str, Any]) -> RunConfig:
    """The settings in ``config``, without the keys of SEML and Sacred.

    Raises
    ------
    walking_noise.ConfigError
        A setting is unknown or has an invalid value.
    """
    return RunConfig.from_dict({name: value for name, value in config.items() if name not in NOT_SETTINGS})
