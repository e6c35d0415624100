"""Runs that a collection already has."""

from __future__ import annotations

from experiments.database.connection import Document, collection_runs
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


def latest_run(collection: str) -> Document:
    """The run that was added last, with the fields of SEML that a further grid needs; an empty one without runs."""
    fields = {f"seml.{name}": True for name in ("executable", "working_dir", "output_dir", "conda_environment")}
    latest = collection_runs(collection).find_one({}, {**fields, "slurm": True}, sort=[("_id", -1)])
    return latest or {}
