"""``walking-noise rescue``: runs whose worker was lost."""

from __future__ import annotations

import time
from argparse import ArgumentParser, Namespace, _SubParsersAction
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from experiments.worker.recovery.lost_workers import Recovered, Recovery


def add_parser(commands: _SubParsersAction[ArgumentParser]) -> None:
    """Add ``rescue``."""
    text = "make the runs of workers that were killed, or whose node died, PENDING again; they go on where they were"
    rescue = commands.add_parser("rescue", help=text, description=text)
    rescue.add_argument("collections", metavar="COLLECTION", nargs="+", help="a collection of runs")
    no_wait = "do not wait for workers that are silent; the next rescue, or the next worker, looks at them again"
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
            rescue = Recovery(database[name], cluster, slurm.active_tasks, lease_seconds)
            found = rescue.recover_killed() + rescue.recover_lost()
            if found.silent and not options.no_wait:
                found = _after_grace(rescue, name, found)
            print(f"{name}: {'; '.join(recovery_messages(found)) or 'no run has lost its worker'}")
            if found.returned:
                print(f"{name}: where no task is left that takes them, `walking-noise start {name}` starts them")
    return 0


def _after_grace(rescue: Recovery, name: str, found: Recovered) -> Recovered:
    """Wait for silent workers as long as they may be silent, and look again."""
    from experiments.terminal.progress_line import ProgressLine

    line, end = ProgressLine(), time.monotonic() + rescue.grace_seconds
    while (left := end - time.monotonic()) > 0:
        line.show(f"{name}: the workers of {found.silent} runs are silent; waiting for them for {left:.0f} s")
        time.sleep(min(left, 0.5))
    line.end()
    return replace(found, silent=0, unseen=0) + rescue.recover_lost()
