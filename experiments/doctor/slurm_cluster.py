"""Check of Slurm."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

from experiments import slurm
from experiments.doctor.examined_site import NotChecked, Site
from experiments.doctor.finding import Finding, error, ok, warning
from experiments.terminal.text_table import in_words

SLURM_SECONDS = 2.0
"""Time for Slurm's first answer."""
LOCAL = "local"
"""The cluster that SEML stores for runs trained without Slurm."""


def answers(site: Site) -> Iterator[Finding]:
    """Slurm answers, shows all jobs, knows the states that SEML queries, and has a name that SEML does not use."""
    if shutil.which("scontrol") is None:
        raise NotChecked("Slurm is not installed; train on this machine with `walking-noise start NAME --local`")
    array_size = slurm.max_array_size(SLURM_SECONDS)
    if array_size is None:
        yield error(
            f"Slurm does not answer within {SLURM_SECONDS:g} s",
            "run `scontrol ping`, and ask the administrators of the cluster",
        )
        return
    active, known_states = slurm.active_tasks(), slurm.known_states()
    if active is None:
        yield warning(
            "Slurm does not show other users' jobs: lost runs are detected only by their leases, some minutes later",
            "ask the administrators to remove `jobs` from PrivateData in slurm.conf",
        )
    else:
        yield ok(f"answers: MaxArraySize {array_size:,}, {in_words(len(active.tasks), 'active task')}")
    active_states = set(site.settings.SLURM_STATES.ACTIVE)
    unknown = active_states - (known_states or active_states)
    if slurm.cluster_name() == LOCAL:
        yield error(
            "the cluster is named local, a name that SEML uses for runs trained without Slurm",
            "ask the administrators to set another ClusterName in slurm.conf",
        )
    if unknown:
        yield error(
            f"this version of Slurm does not know the states {', '.join(sorted(unknown))}, which SEML queries: SEML "
            "would set all runs to KILLED",
            "remove these states from SETTINGS.SLURM_STATES in ~/.config/seml/settings.py",
        )
