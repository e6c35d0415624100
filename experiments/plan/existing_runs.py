"""The runs that a collection has."""

from __future__ import annotations

from experiments.database.connection import collection_runs
from experiments.database.stored_config import run_config
from experiments.plan.run_counts import settings_key
from walking_noise import ConfigError


def present_in(collection: str) -> set[str]:
    """The settings keys of a collection's runs; runs that cannot be read, of another version, are none of these.

    Raises
    ------
    UserError
        There is no database, or no such name.
    """
    keys = set()
    for document in collection_runs(collection).find({}, {"config": True}):
        try:
            keys.add(settings_key(run_config(document["config"])))
        except (ConfigError, KeyError):
            continue
    return keys
