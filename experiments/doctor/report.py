"""What was found, as lines and as data."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

from experiments.doctor.checks import CHECKS
from experiments.doctor.finding import ERROR, WARNING, Finding
from experiments.doctor.site import UNFINISHED, NotChecked, Site

OF_A_JOB = ("account", "constraint", "gres", "partition", "qos", "reservation")
"""Of the options of a grid's jobs these decide on which node one lands, and what it sees there."""


def examine(
    site: Site, *, node: bool = False, show: Callable[[str], None] | None = None
) -> Iterator[tuple[str, Finding]]:
    """What is looked at, and what was found; ``node``: only what differs between nodes; ``show``: told before."""
    for check in CHECKS:
        if check.on_nodes or not node:
            if show is not None:
                show(f"looking at: {check.what}")
            for finding in check.findings(site):
                yield check.what, finding


def line(what: str, finding: Finding) -> str:
    """A finding in a line."""
    return f"{finding.level:9}  {what}: {finding.found}{f'; {finding.mend}' if finding.mend else ''}"


def in_total(findings: list[tuple[str, Finding]]) -> str:
    """How many errors and warnings there are."""
    levels = Counter(finding.level for _, finding in findings)
    return f"errors: {levels[ERROR]}, warnings: {levels[WARNING]}"


def numbers(findings: list[tuple[str, Finding]]) -> list[dict[str, Any]]:
    """The findings as JSON holds them."""
    return [{"what": what, **asdict(finding)} for what, finding in findings]


def command_for_a_node(site: Site) -> str | None:
    """The command that examines a compute node as a job of the first unfinished run sees it; None without Slurm."""
    if not site.other_hosts:
        return None
    return shlex.join(["srun", *_job_options(site), "walking-noise", "doctor", *site.names, "--node"])


def _job_options(site: Site) -> list[str]:
    try:
        for runs in site.collections:
            run = runs.find_one({"status": {"$in": UNFINISHED}, "slurm": {"$exists": True}}, {"slurm": 1})
            if run is not None:
                given = run["slurm"][0].get("sbatch_options", {})
                return [f"--{name}={given[name]}" for name in OF_A_JOB if name in given]
    except NotChecked:
        pass
    return ["--gres=gpu:1"]
