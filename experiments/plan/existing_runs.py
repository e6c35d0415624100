"""Runs that a collection already has."""

from __future__ import annotations

from experiments.database.connection import collection_runs
from experiments.plan.run_counts import settings_key
from walking_noise import ConfigError, RunConfig


def present_in(collection: str) -> set[str]:
    """The settings keys of a collection's runs; runs of another version that this one cannot read are left out."""
    keys = set()
    for document in collection_runs(collection).find({}, {"config": True}):
        try:
            keys.add(settings_key(RunConfig.from_document(document["config"])))
        except (ConfigError, KeyError):
            continue
    return keys
