"""Recovery at the start of a worker: results of other workers on disk, and RUNNING runs of lost workers."""

from __future__ import annotations

import logging
from pathlib import Path

from experiments import slurm
from experiments.database.connection import Document, Runs
from experiments.terminal.text_table import in_words, runs_in_words
from experiments.worker.delivery.spool import deliver_spool
from experiments.worker.records.study_record import may_ask_slurm
from experiments.worker.recovery.lost_workers import Recovered, Recovery
from experiments.worker.recovery.out_of_memory import TOO_LARGE
from experiments.worker.worker_options import UNDELIVERED

log = logging.getLogger(__name__)


def recover_at_startup(runs: Runs, leader: Document, token: str, state: Path | None, lease_seconds: float) -> None:
    """Deliver the results in the spool, and make the runs of lost workers PENDING.

    All workers of a study together query Slurm's tasks once per minute: hundreds may start at the same time.
    """
    if state is not None:
        counts = deliver_spool(state / UNDELIVERED, runs.database, runs.name)
        if counts.delivered:
            log.info("delivered %s of other workers", in_words(counts.delivered, "result"))
        for fault in counts.faults:
            log.warning(fault)
    execution = leader.get("execution", {})
    cluster = (execution.get("cluster") if "task_id" in execution else None) or slurm.cluster_name()

    def active_tasks() -> slurm.ActiveTasks | None:
        return slurm.active_tasks() if may_ask_slurm(runs.database, runs.name) else None

    recovery = Recovery(runs, cluster, active_tasks, lease_seconds)
    recovery.recover_requeued(leader, token)
    for text in recovery_messages(recovery.recover_lost(leader["_id"])):
        log.info(text)


def recovery_messages(recovered: Recovered) -> list[str]:
    """Messages about a recovery, one line each."""
    lines = [f"PENDING again: {runs_in_words(count)} ({reason})" for reason, count in recovered.returned.items()]
    for count, state in (
        (recovered.silent, "lease expired, but the worker may still come back"),
        (recovered.starting, "started outside Slurm, and not leased by their workers yet"),
        (recovered.unseen, "in Slurm tasks that were not queried now, recovered when their leases expire"),
        (recovered.failed, f"FAILED: {TOO_LARGE}"),
        (recovered.completed, "set to KILLED by SEML, but now COMPLETED, as they have results"),
    ):
        if count:
            lines.append(f"{state}: {runs_in_words(count)}")
    return lines + recovered.limits
