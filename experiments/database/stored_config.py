"""From a config, as SEML and Sacred keep it, to the run that it describes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from walking_noise import RunConfig

NOT_SETTINGS = ("db_collection", "overwrite", "__doc__")
"""SEML and Sacred keep these in a run's config; they say nothing about the run."""


def run_config(config: Mapping[str, Any]) -> RunConfig:
    """The run that ``config`` describes.

    Raises
    ------
    walking_noise.ConfigError
        A setting is unknown or cannot be used.
    """
    return RunConfig.from_dict({name: value for name, value in config.items() if name not in NOT_SETTINGS})
