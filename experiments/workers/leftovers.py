"""What lost workers have left, put in order by the next one that starts: results on disk, and runs still RUNNING."""

from __future__ import annotations

import logging

from experiments import slurm
from experiments.mongodb.database import Document, Runs
from experiments.workers.rescue import Rescue, Rescued
from experiments.workers.state import StateFolder

log = logging.getLogger(__name__)


def put_in_order(runs: Runs, leader: Document, token: str, state: StateFolder | None, lease_seconds: float) -> None:
    """Deliver what waits on disk, and return the runs of workers that are lost for certain."""
    if state is not None:
        brought = state.undelivered.deliver(runs.database, runs.name)
        if brought.delivered:
            log.info("%d results of other workers were delivered", brought.delivered)
        for fault in brought.faults:
            log.warning(fault)
    rescue = Rescue(runs, slurm.cluster_name(), slurm.active_tasks, lease_seconds)
    for text in in_words(rescue.earlier_turns(leader, token) + rescue.lost()):
        log.info(text)


def in_words(rescued: Rescued) -> list[str]:
    """What was found, a line for each reason."""
    lines = [f"{count} runs are PENDING again: {reason}" for reason, count in rescued.returned.items()]
    if rescued.silent:
        lines.append(f"{rescued.silent} runs have a worker that is silent, but may come back")
    if rescued.completed:
        lines.append(f"{rescued.completed} runs that SEML called KILLED have their results and are COMPLETED")
    return lines
