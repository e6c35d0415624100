"""What lost workers have left, put in order by the next one that starts: results on disk, and runs still RUNNING."""

from __future__ import annotations

import logging

from experiments import slurm
from experiments.database.connection import Document, Runs
from experiments.terminal.text_table import runs_in_words
from experiments.worker.delivery.state_folder import StateFolder
from experiments.worker.recovery.lost_workers import Recovered, Recovery

log = logging.getLogger(__name__)


def recover_at_startup(
    runs: Runs, leader: Document, token: str, state: StateFolder | None, lease_seconds: float
) -> None:
    """Deliver what waits on disk, and return the runs of workers that are lost for certain."""
    if state is not None:
        brought = state.spool.deliver(runs.database, runs.name)
        if brought.delivered:
            log.info("%d results of other workers were delivered", brought.delivered)
        for fault in brought.faults:
            log.warning(fault)
    rescue = Recovery(runs, slurm.cluster_name(), slurm.active_tasks, lease_seconds)
    for text in recovery_messages(rescue.recover_requeued(leader, token) + rescue.recover_lost()):
        log.info(text)


def recovery_messages(rescued: Recovered) -> list[str]:
    """What was found, a line for each reason."""
    lines = [f"PENDING again: {runs_in_words(count)} ({reason})" for reason, count in rescued.returned.items()]
    for count, what in (
        (rescued.silent, "silent, but their workers may come back"),
        (rescued.unseen, "in tasks of a Slurm that does not answer here; only silence would tell that they are lost"),
        (rescued.completed, "COMPLETED: SEML had called them KILLED, but they have their results"),
    ):
        if count:
            lines.append(f"{runs_in_words(count)} {what}")
    return lines
