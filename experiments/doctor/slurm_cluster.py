"""Slurm, and the nodes that it has."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator

from experiments import slurm
from experiments.doctor.examined_site import NotChecked, Site
from experiments.doctor.finding import Finding, error, ok, warning

LOCAL = "local"
"""SEML gives runs without Slurm this as their cluster."""


def answers(site: Site) -> Iterator[Finding]:
    """It answers, knows the states that SEML asks for, and takes arrays."""
    if shutil.which("scontrol") is None:
        raise NotChecked("there is no Slurm here; runs are trained with `walking-noise start NAME --local`")
    size = slurm.max_array_size()
    if size is None:
        yield error("Slurm does not answer", "see what `scontrol ping` says, and ask the cluster's administrators")
        return
    active = slurm.active_tasks()
    if active is None:
        yield warning(
            "Slurm does not show all jobs: lost runs are found by their leases only, some minutes later",
            "ask the administrators for PrivateData without jobs",
        )
    unknown = _unknown_states()
    if unknown:
        yield error(
            f"this Slurm does not know the states {', '.join(unknown)} that SEML asks for, which takes all runs for "
            "KILLED",
            "in ~/.config/seml/settings.py leave them out of SETTINGS.SLURM_STATES",
        )
    if active is not None and not unknown:
        yield ok(f"answers: MaxArraySize {size:,}, {len(active.tasks):,} tasks are active")


def _unknown_states() -> list[str]:
    from seml.settings import SETTINGS

    known = slurm.states()
    return sorted(set(SETTINGS.SLURM_STATES.ACTIVE) - known) if known else []


def name(site: Site) -> Iterator[Finding]:
    """SEML tells runs of a cluster from those without Slurm by its name."""
    called = slurm.cluster_name()
    if called is None:
        raise NotChecked("Slurm does not answer")
    if called == LOCAL:
        yield error(
            "the cluster is named local, as which SEML knows runs that are trained without Slurm",
            "have its administrators give it another ClusterName in slurm.conf",
        )
    else:
        yield ok(called)


def nodes(site: Site) -> Iterator[Finding]:
    """Which of them take no jobs, and why."""
    out = [node for node in site.nodes if not node.takes_jobs]
    for node in out:
        why = f": {node.reason}" if node.reason not in ("", "none") else ""
        yield warning(
            f"{node.name} is {node.state}{why}",
            f"have the administrators look at it; then: scontrol update nodename={node.name} state=resume",
        )
    if not out:
        yield ok(f"all {len(site.nodes)} take jobs")
    elif len(out) == len(site.nodes):
        yield error("no node takes jobs", "see `sinfo -R`")


def gpus(site: Site) -> Iterator[Finding]:
    """The types of GPUs that a grid's ``gres`` may ask for, MIG slices among them."""
    kinds = Counter(gres for node in site.nodes for gres in _gpus(node.gres))
    if not kinds:
        yield warning("Slurm knows no GPUs", "train on CPUs, without `gres` in the grid, or ask for GresTypes=gpu")
        return
    yield ok(", ".join(f"{count} × {kind}" for kind, count in sorted(_totals(site.nodes).items())))
    if len(kinds) > 1:
        yield ok('several types: `gres: "gpu:TYPE:1"` in the grid keeps a study, and its checkpoints, on one')


def _gpus(gres: str) -> list[str]:
    """The parts of a node's generic resources that are GPUs, as ``gpu:a100:4(S:0-1)`` or ``gpu:1g.5gb:7``."""
    return [part for part in gres.split(",") if part.split(":")[0] == "gpu"]


def _totals(nodes: list[slurm.Node]) -> Counter[str]:
    totals = Counter[str]()
    for node in nodes:
        for part in _gpus(node.gres):
            *kind, count = part.split("(")[0].split(":")
            totals[":".join(kind)] += int(count) if count.isdecimal() else 0
    return totals
