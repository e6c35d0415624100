"""Examination of a site: the list of checks, and their findings as text and as data."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

from experiments.doctor import (
    data_sets,
    database_access,
    gpu_device,
    seml_configuration,
    slurm_cluster,
    stored_documents,
    versions,
    worker_folders,
)
from experiments.doctor.examined_site import UNFINISHED, NotChecked, Site
from experiments.doctor.finding import ERROR, WARNING, Check, Finding

PLACEMENT_OPTIONS = ("account", "constraint", "gres", "partition", "qos", "reservation")
"""Options of sbatch that determine on which node a job runs and which devices it sees there."""

CHECKS = (
    Check("SEML's configuration", seml_configuration.well_formed, on_nodes=True),
    Check("file modes", seml_configuration.private_to_owner),
    Check("SEML's settings", seml_configuration.settings_load),
    Check("database", database_access.answers, on_nodes=True),
    Check("database from nodes", database_access.seen_by_nodes),
    Check("writing", database_access.writable, on_nodes=True),
    Check("rights", database_access.rights),
    Check("clock", database_access.clock, on_nodes=True),
    Check("collections", stored_documents.collections),
    Check("indexes", database_access.indexes),
    Check("secrets", stored_documents.secrets),
    Check("sources", stored_documents.sources),
    Check("Slurm", slurm_cluster.answers),
    Check("cluster's name", slurm_cluster.name),
    Check("nodes", slurm_cluster.nodes),
    Check("GPUs of nodes", slurm_cluster.gpus),
    Check("data sets", data_sets.present, on_nodes=True),
    Check("networks folder", worker_folders.networks, on_nodes=True),
    Check("state folder", worker_folders.state, on_nodes=True),
    Check("disk", worker_folders.space, on_nodes=True),
    Check("options", gpu_device.options, on_nodes=True),
    Check("GPU", gpu_device.usable, on_nodes=True),
    Check("Python", versions.python, on_nodes=True),
    Check("dependencies", versions.dependencies, on_nodes=True),
)
"""All checks, in the order of the report."""


def examine(
    site: Site, *, node: bool = False, show: Callable[[str], None] | None = None
) -> Iterator[tuple[str, Finding]]:
    """Run the checks; yield the name of each check with each of its findings.

    With ``node``, only the checks run whose result may differ between nodes. ``show`` is called with a text before each
    check.
    """
    for check in CHECKS:
        if check.on_nodes or not node:
            if show is not None:
                show(f"checking: {check.name}")
            for finding in check.findings(site):
                yield check.name, finding


def line(name: str, finding: Finding) -> str:
    """One line for a finding."""
    return f"{finding.level:9}  {name}: {finding.found}{f'; {finding.mend}' if finding.mend else ''}"


def totals(findings: list[tuple[str, Finding]]) -> str:
    """One line with the number of errors and of warnings."""
    levels = Counter(finding.level for _, finding in findings)
    return f"errors: {levels[ERROR]}, warnings: {levels[WARNING]}"


def numbers(findings: list[tuple[str, Finding]]) -> list[dict[str, Any]]:
    """The findings for the JSON file."""
    return [{"what": name, **asdict(finding)} for name, finding in findings]


def node_command(site: Site) -> str | None:
    """The command that checks a compute node under the options of the first unfinished run; None without Slurm."""
    if not site.other_hosts:
        return None
    return shlex.join(["srun", *_job_options(site), "walking-noise", "doctor", *site.names, "--node"])


def _job_options(site: Site) -> list[str]:
    try:
        for runs in site.collections:
            run = runs.find_one({"status": {"$in": UNFINISHED}, "slurm": {"$exists": True}}, {"slurm": 1})
            if run is not None:
                options = run["slurm"][0].get("sbatch_options", {})
                return [f"--{name}={options[name]}" for name in PLACEMENT_OPTIONS if name in options]
    except NotChecked:
        pass
    return ["--gres=gpu:1"]
