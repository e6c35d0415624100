"""All that is examined, in the order of the report."""

from __future__ import annotations

from experiments.doctor import cluster, configuration, data, database, documents, folders, gpu, versions
from experiments.doctor.finding import Check

CHECKS = (
    Check("SEML's configuration", configuration.well_formed, on_nodes=True),
    Check("file modes", configuration.for_its_owner_alone),
    Check("SEML's settings", configuration.settings_load),
    Check("database", database.answers, on_nodes=True),
    Check("database from nodes", database.seen_by_nodes),
    Check("writing", database.writable, on_nodes=True),
    Check("rights", database.rights),
    Check("clock", database.clock, on_nodes=True),
    Check("collections", documents.collections),
    Check("indexes", database.indexes),
    Check("secrets", documents.secrets),
    Check("sources", documents.sources),
    Check("Slurm", cluster.answers),
    Check("cluster's name", cluster.name),
    Check("nodes", cluster.nodes),
    Check("GPUs of nodes", cluster.gpus),
    Check("data sets", data.present, on_nodes=True),
    Check("networks folder", folders.networks, on_nodes=True),
    Check("state folder", folders.state, on_nodes=True),
    Check("disk", folders.space, on_nodes=True),
    Check("options", gpu.options, on_nodes=True),
    Check("GPU", gpu.usable, on_nodes=True),
    Check("Python", versions.python, on_nodes=True),
    Check("dependencies", versions.dependencies, on_nodes=True),
)
