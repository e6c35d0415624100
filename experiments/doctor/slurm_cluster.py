"""Checks of Slurm, its nodes and their GPUs."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator

from experiments import slurm
from experiments.doctor.examined_site import NotChecked, Site
from experiments.doctor.finding import Finding, error, ok, warning
from experiments.terminal.text_table import in_words

LOCAL = "local"
"""The cluster that SEML stores for runs trained without Slurm."""


def answers(site: Site) -> Iterator[Finding]:
    """Slurm answers, shows all jobs and knows the states that SEML queries."""
    if shutil.which("scontrol") is None:
        raise NotChecked("Slurm is not installed on this machine; train runs with `walking-noise start NAME --local`")
    size = slurm.max_array_size()
    if size is None:
        yield error("Slurm does not answer", "run `scontrol ping`, and ask the administrators of the cluster")
        return
    active = slurm.active_tasks()
    if active is None:
        yield warning(
            "Slurm does not show other users' jobs: lost runs are detected only by their leases, some minutes later",
            "ask the administrators to remove `jobs` from PrivateData in slurm.conf",
        )
    unknown = _unknown_states()
    if unknown:
        yield error(
            f"this version of Slurm does not know the states {', '.join(unknown)}, which SEML queries: SEML would set "
            "all runs to KILLED",
            "remove these states from SETTINGS.SLURM_STATES in ~/.config/seml/settings.py",
        )
    if active is not None and not unknown:
        yield ok(f"answers: MaxArraySize {size:,}, {in_words(len(active.tasks), 'active task')}")


def _unknown_states() -> list[str]:
    from seml.settings import SETTINGS

    known = slurm.known_states()
    return sorted(set(SETTINGS.SLURM_STATES.ACTIVE) - known) if known else []


def name(site: Site) -> Iterator[Finding]:
    """The cluster is not named ``local``, because SEML marks runs without Slurm by this name."""
    cluster = slurm.cluster_name()
    if cluster is None:
        raise NotChecked("Slurm does not answer")
    if cluster == LOCAL:
        yield error(
            "the cluster is named local, a name that SEML uses for runs trained without Slurm",
            "ask the administrators to set another ClusterName in slurm.conf",
        )
    else:
        yield ok(cluster)


def nodes(site: Site) -> Iterator[Finding]:
    """All nodes accept jobs."""
    unavailable = [node for node in site.nodes if not node.takes_jobs]
    for node in unavailable:
        why = f": {node.reason}" if node.reason not in ("", "none") else ""
        yield warning(
            f"{node.name} is {node.state}{why}",
            f"ask the administrators to repair it, then to run `scontrol update nodename={node.name} state=resume`",
        )
    if not unavailable:
        yield ok(f"{len(site.nodes)} of {len(site.nodes)} accept jobs")
    elif len(unavailable) == len(site.nodes):
        yield error("no node accepts jobs", "run `sinfo -R` for the reasons")


def gpus(site: Site) -> Iterator[Finding]:
    """Slurm has GPUs; their types, MIG slices among them, are those that ``gres`` in a grid can request."""
    kinds = Counter(gres for node in site.nodes for gres in _gpus(node.gres))
    if not kinds:
        yield warning(
            "Slurm has no GPUs",
            "remove `gres` from the grid to train on CPUs, or ask the administrators for GresTypes=gpu",
        )
        return
    yield ok(", ".join(f"{count} × {kind}" for kind, count in sorted(_totals(site.nodes).items())))
    if len(kinds) > 1:
        yield ok('several types: set `gres: "gpu:TYPE:1"` in the grid to keep a study and its checkpoints on one type')


def _gpus(gres: str) -> list[str]:
    """The GPUs among the generic resources of a node, for example ``gpu:a100:4(S:0-1)`` or ``gpu:1g.5gb:7``."""
    return [part for part in gres.split(",") if part.split(":")[0] == "gpu"]


def _totals(nodes: list[slurm.Node]) -> Counter[str]:
    totals = Counter[str]()
    for node in nodes:
        for part in _gpus(node.gres):
            *kind, count = part.split("(")[0].split(":")
            totals[":".join(kind)] += int(count) if count.isdecimal() else 0
    return totals
