"""What the place where runs are started says: Slurm's limit, and the runs that a collection has."""

from __future__ import annotations

import re
import subprocess

from experiments.database import runs_in
from experiments.planning.tally import settings_key
from experiments.settings import run_config
from walking_noise import ConfigError

USUAL_ARRAY_SIZE = 1001
"""Slurm's default of MaxArraySize."""


def max_array_size() -> int | None:
    """The most tasks that Slurm takes in an array; None if there is no Slurm, or it does not answer."""
    try:
        said = subprocess.run(["scontrol", "show", "config"], capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.search(r"^MaxArraySize\s*=\s*(\d+)", said.stdout, re.MULTILINE)
    return int(found[1]) if found else None


def present_in(collection: str) -> set[str]:
    """The settings keys of a collection's runs; runs that cannot be read, of another version, are none of these.

    Raises
    ------
    UserError
        There is no database, or no such name.
    """
    keys = set()
    for document in runs_in(collection).find({}, {"config": True}):
        try:
            keys.add(settings_key(run_config(document["config"])))
        except (ConfigError, KeyError):
            continue
    return keys
