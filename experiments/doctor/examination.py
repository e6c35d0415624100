"""Examination of a site: the list of checks, and their findings as text and as data."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator

from experiments.doctor import (
    database_access,
    gpu_device,
    known_failures,
    seml_configuration,
    slurm_cluster,
    stored_runs,
    versions,
    worker_folders,
)
from experiments.doctor.examined_site import NotChecked, Site
from experiments.doctor.finding import ERROR, UNCHECKED, WARNING, Finding

CHECKS = {
    "Installation": {
        "dependencies": versions.dependencies,
        "SEML's settings": seml_configuration.settings_load,
    },
    "Database": {
        "SEML's configuration": seml_configuration.well_formed,
        "database": database_access.answers,
        "writing": database_access.writable,
    },
    "Protection": {
        "file modes": seml_configuration.private_to_owner,
        "database from nodes": database_access.seen_by_nodes,
        "rights": database_access.rights,
        "secrets": stored_runs.secrets,
    },
    "Runs": {
        "collections": stored_runs.collections,
        "indexes": stored_runs.indexes,
        "sources": stored_runs.sources,
        "options of runs": stored_runs.options,
        "failures": known_failures.failures,
    },
    "Slurm": {
        "Slurm": slurm_cluster.answers,
    },
    "Workers": {
        "options": worker_folders.options,
        "networks folder": worker_folders.networks,
        "state folder": worker_folders.state,
        "disk": worker_folders.space,
        "data sets": stored_runs.data_sets,
        "GPU": gpu_device.usable,
    },
}
"""The checks by topic and name. A check yields findings, or raises :class:`NotChecked` if it is impossible."""
ON_NODES = ("Installation", "Database", "Workers")
"""Topics whose findings may differ on a compute node."""


def examine(site: Site, *, node: bool = False) -> Iterator[tuple[str, str, Finding]]:
    """Run the checks; yield the topic and the name of each check with each of its findings.

    With ``node``, only the checks run whose result may differ between nodes.
    """
    for topic in ON_NODES if node else CHECKS:
        for name, check in CHECKS[topic].items():
            try:
                for finding in check(site):
                    yield topic, name, finding
            except NotChecked as reason:
                yield topic, name, Finding(UNCHECKED, str(reason))


def report(site: Site, findings: list[tuple[str, Finding]], *, node: bool = False) -> Iterator[str]:
    """Run the checks; yield the report line by line, and append the findings to ``findings``.

    The last lines name the impossible checks, in one line for each reason, and what to do first.
    """
    heading, impossible = "", dict[str, list[str]]()
    for topic, name, finding in examine(site, node=node):
        findings.append((name, finding))
        if finding.level == UNCHECKED:
            impossible.setdefault(finding.found, []).append(name)
            continue
        if topic != heading:
            yield topic
            heading = topic
        yield f"  {line(name, finding)}"
    for reason, names in impossible.items():
        yield line(", ".join(names), Finding(UNCHECKED, reason))
    levels = Counter(finding.level for _, finding in findings)
    yield f"errors: {levels[ERROR]}, warnings: {levels[WARNING]}"
    if faults := [fault for fault in findings if fault[1].mend]:
        name, first = min(faults, key=lambda fault: fault[1].level != ERROR)
        yield f"next ({name}): {first.mend}"
    if not node and site.other_hosts:
        command = shlex.join(["srun", "--gres=gpu:1", "walking-noise", "doctor", *site.names, "--node"])
        yield f"to check a compute node, where data, disk and GPU may differ, run: {command}"


def line(name: str, finding: Finding) -> str:
    """One line for a finding."""
    return f"{finding.level:9}  {name}: {finding.found}{f'; {finding.mend}' if finding.mend else ''}"
