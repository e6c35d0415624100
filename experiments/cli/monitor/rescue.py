"""``walking-noise rescue``: returns the runs of lost workers to PENDING."""

from __future__ import annotations

import time
from argparse import ArgumentParser, Namespace, _SubParsersAction
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from experiments.worker.recovery.lost_workers import Recovered, Recovery


def add_parser(commands: _SubParsersAction[ArgumentParser]) -> None:
    """Add the command ``rescue``."""
    text = (
        "Return the runs of lost workers (killed, or on a failed node) to PENDING. They resume from their checkpoints."
    )
    rescue = commands.add_parser("rescue", help=text, description=text)
    rescue.add_argument("collections", metavar="COLLECTION", nargs="+", help="name of a SEML collection")
    no_wait = (
        "do not wait for workers that have stopped reporting; the next rescue or the next worker checks them again"
    )
    rescue.add_argument("--no-wait", action="store_true", help=no_wait)
    rescue.set_defaults(run=_run)


def _run(options: Namespace) -> int:
    from experiments import slurm
    from experiments.database.run_collections import open_database
    from experiments.worker.recovery.at_startup import recovery_messages
    from experiments.worker.recovery.lost_workers import Recovery
    from experiments.worker.worker_options import WorkerOptions

    lease_seconds, cluster = WorkerOptions.from_environment().lease_seconds, slurm.cluster_name()
    with open_database(options.collections) as database:
        for name in options.collections:
            recovery = Recovery(database[name], cluster, slurm.active_tasks, lease_seconds)
            recovered = recovery.recover_killed() + recovery.recover_lost()
            if recovered.silent and not options.no_wait:
                recovered = _after_grace(recovery, name, recovered)
            print(f"{name}: {'; '.join(recovery_messages(recovered)) or 'no lost worker was found'}")
            if recovered.returned:
                print(f"{name}: if no Slurm task is left to train them, run `walking-noise start {name}`")
    return 0


def _after_grace(recovery: Recovery, name: str, recovered: Recovered) -> Recovered:
    """Wait until the grace period of silent workers is over, and recover the runs of those that are still silent."""
    from experiments.terminal.progress_line import ProgressLine
    from experiments.terminal.text_table import runs_in_words

    line, end = ProgressLine(), time.monotonic() + recovery.grace_seconds
    while (remaining := end - time.monotonic()) > 0:
        line.show(
            f"{name}: no heartbeat from the workers of {runs_in_words(recovered.silent)}; waiting {remaining:.0f} s "
            "for them"
        )
        time.sleep(min(remaining, 0.5))
    line.end()
    return replace(recovered, silent=0, unseen=0) + recovery.recover_lost()
