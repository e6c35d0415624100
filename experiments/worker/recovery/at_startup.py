"""Recovery at the start of a worker: results of other workers on disk, and RUNNING runs of lost workers."""

from __future__ import annotations

import logging
from pathlib import Path

from experiments import slurm
from experiments.database.connection import Document, Runs
from experiments.terminal.text_table import in_words, runs_in_words
from experiments.worker.delivery.spool import deliver_spool
from experiments.worker.recovery.lost_workers import Recovered, Recovery
from experiments.worker.worker_options import UNDELIVERED

log = logging.getLogger(__name__)


def recover_at_startup(runs: Runs, leader: Document, token: str, state: Path | None, lease_seconds: float) -> None:
    """Deliver the results in the spool, and make the runs of lost workers PENDING."""
    if state is not None:
        counts = deliver_spool(state / UNDELIVERED, runs.database, runs.name)
        if counts.delivered:
            log.info("delivered %s of other workers", in_words(counts.delivered, "result"))
        for fault in counts.faults:
            log.warning(fault)
    recovery = Recovery(runs, slurm.cluster_name(), slurm.active_tasks, lease_seconds)
    recovery.recover_requeued(leader, token)
    for text in recovery_messages(recovery.recover_lost(leader["_id"])):
        log.info(text)


def recovery_messages(recovered: Recovered) -> list[str]:
    """Messages about a recovery, one line each."""
    lines = [f"PENDING again: {runs_in_words(count)} ({reason})" for reason, count in recovered.returned.items()]
    for count, state in (
        (recovered.silent, "lease expired, but the worker may still come back"),
        (recovered.starting, "started outside Slurm, and not leased by their workers yet"),
        (recovered.unseen, "in Slurm tasks that cannot be queried from here, recovered when their leases expire"),
        (recovered.completed, "set to KILLED by SEML, but now COMPLETED, as they have results"),
    ):
        if count:
            lines.append(f"{state}: {runs_in_words(count)}")
    return lines
