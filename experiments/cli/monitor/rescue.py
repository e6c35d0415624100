"""``walking-noise rescue``: returns the runs of lost workers to PENDING."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from experiments.cli.parameters import Collections

if TYPE_CHECKING:
    from experiments.worker.recovery.lost_workers import Recovery


def rescue(
    collections: Collections,
    no_wait: Annotated[
        bool,
        typer.Option("--no-wait", help="do not wait for silent workers; the next rescue or worker recovers their runs"),
    ] = False,
) -> None:
    """Return the runs of lost workers (killed, or on a failed node) to PENDING. They resume from their checkpoints.

    Example: walking-noise rescue table1_mnist
    """
    from experiments import slurm
    from experiments.database.run_collections import open_database
    from experiments.worker.recovery.at_startup import recovery_messages
    from experiments.worker.recovery.lost_workers import Recovery
    from experiments.worker.worker_options import WorkerOptions

    lease_seconds, cluster = WorkerOptions.from_environment().lease_seconds, slurm.cluster_name()
    with open_database(collections) as database:
        for name in collections:
            recovery = Recovery(database[name], cluster, slurm.active_tasks, lease_seconds)
            recovery.recover_killed()
            recovered = recovery.recover_lost()
            if recovered.silent and not no_wait:
                _wait_for_silent_workers(recovery, name)
                recovery.recover_lost()
            print(f"{name}: {'; '.join(recovery_messages(recovered)) or 'no lost worker was found'}")
            if recovered.returned:
                print(f"{name}: if no Slurm task is left to train them, run `walking-noise start {name}`")


def _wait_for_silent_workers(recovery: Recovery, name: str) -> None:
    """Wait until the grace period of silent workers is over, and show the time left."""
    from experiments.terminal.progress_line import ProgressLine
    from experiments.terminal.text_table import runs_in_words

    line, end = ProgressLine(), time.monotonic() + recovery.grace_seconds
    while (remaining := end - time.monotonic()) > 0:
        line.show(
            f"{name}: no heartbeat from the workers of {runs_in_words(recovery.recovered.silent)}; waiting "
            f"{remaining:.0f} s for them"
        )
        time.sleep(min(remaining, 0.5))
    line.end()
