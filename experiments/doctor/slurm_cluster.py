"""Checks of Slurm, its nodes and their GPUs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from experiments.doctor.examined_site import NO_ANSWER, SLURM_SECONDS, NotChecked, Site
from experiments.doctor.finding import Finding, error, ok, warning
from experiments.terminal.text_table import in_words

LOCAL = "local"
"""The cluster that SEML stores for runs trained without Slurm."""


def answers(site: Site) -> Iterator[Finding]:
    """Slurm answers, shows all jobs and knows the states that SEML queries."""
    cluster = site.cluster
    if cluster is None:
        yield error(
            f"Slurm does not answer within {SLURM_SECONDS:g} s",
            "run `scontrol ping`, and ask the administrators of the cluster",
        )
        return
    if cluster.active is None:
        yield warning(
            "Slurm does not show other users' jobs: lost runs are detected only by their leases, some minutes later",
            "ask the administrators to remove `jobs` from PrivateData in slurm.conf",
        )
    else:
        yield ok(f"answers: MaxArraySize {cluster.array_size:,}, {in_words(len(cluster.active.tasks), 'active task')}")
    active_states = set(site.settings.SLURM_STATES.ACTIVE)
    unknown = active_states - (cluster.known_states or active_states)
    if unknown:
        yield error(
            f"this version of Slurm does not know the states {', '.join(sorted(unknown))}, which SEML queries: SEML "
            "would set all runs to KILLED",
            "remove these states from SETTINGS.SLURM_STATES in ~/.config/seml/settings.py",
        )


def name(site: Site) -> Iterator[Finding]:
    """The cluster is not named ``local``, because SEML marks runs without Slurm by this name."""
    if site.cluster is None or site.cluster.name is None:
        raise NotChecked(NO_ANSWER)
    if site.cluster.name == LOCAL:
        yield error(
            "the cluster is named local, a name that SEML uses for runs trained without Slurm",
            "ask the administrators to set another ClusterName in slurm.conf",
        )
    else:
        yield ok(site.cluster.name)


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
    types = Counter[str]()
    for node in site.nodes:
        for resource in node.gres.split(","):  # for example gpu:a100:4(S:0-1), gpu:1g.5gb:7 or tmpdisk:1
            *kind, count = resource.split("(")[0].split(":")
            if kind[:1] == ["gpu"]:
                types[":".join(kind)] += int(count) if count.isdecimal() else 0
    if not types:
        yield warning(
            "Slurm has no GPUs",
            "remove `gres` from the grid to train on CPUs, or ask the administrators for GresTypes=gpu",
        )
        return
    yield ok(", ".join(f"{count} × {kind}" for kind, count in sorted(types.items())))
    if len(types) > 1:
        yield ok('several types: set `gres: "gpu:TYPE:1"` in the grid to keep a study and its checkpoints on one type')
