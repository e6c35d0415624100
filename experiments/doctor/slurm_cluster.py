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
COMMANDS = ("scontrol", "squeue", "sinfo", "sbatch")
"""Commands of Slurm that start and watch tasks."""
LOCAL = "local"
"""The cluster that SEML stores for runs trained without Slurm."""


def answers(site: Site) -> Iterator[Finding]:
    """Slurm answers, shows all jobs, knows the states that SEML queries, and has a name that SEML does not use.

    A machine that belongs to no cluster is no fault: its runs are started with ``--local``.
    """
    missing = [name for name in COMMANDS if shutil.which(name) is None]
    expected = bool(site.environment.get("SLURM_CONF"))
    local = "train on this machine with `walking-noise start NAME --local`"
    if len(missing) == len(COMMANDS) and not expected:
        raise NotChecked(f"Slurm is not installed; {local}")
    if missing:
        yield error(
            f"Slurm is only partly installed: {', '.join(missing)} missing in PATH",
            "add the folder of Slurm's commands to PATH, or install them (Debian: slurm-client)",
        )
        return
    array_size = slurm.max_array_size(SLURM_SECONDS)
    if array_size is None:
        if not expected and not slurm.is_configured(SLURM_SECONDS):
            raise NotChecked(f"Slurm is installed, but finds no configuration of a cluster; {local}")
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
