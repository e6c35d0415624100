"""Live workers in the tasks of a private cluster, and their processes."""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.left_running import Process

POOL_PROCESS, TRAIN = "walking_noise.runtime.worker_process", "experiments/train.py"


@dataclass(frozen=True)
class LiveWorker:
    """A worker in a Slurm task.

    Attributes
    ----------
    task
        Its task in the notation of Slurm's commands, ``ARRAY_TASK``.
    supervisor
        The process that SEML started, which waits.
    child
        The supervisor's child, which is the worker proper; None before the fork.
    pool
        The child's worker processes for training, on a node with several cores.
    """

    collection: str
    task: str
    node: str
    supervisor: Process
    child: Process | None
    pool: tuple[Process, ...]

    @property
    def processes(self) -> list[Process]:
        """All processes; the supervisor comes first, so that it cannot recover the runs after the end of the others."""
        return [process for process in (self.supervisor, self.child, *self.pool) if process is not None]

    def kill(self, signum: int = signal.SIGKILL) -> None:
        """Send a signal to all processes."""
        for process in self.processes:
            process.kill(signum)


def live_workers(processes: Sequence[Process]) -> list[LiveWorker]:
    """The workers among these processes."""
    python = [process for process in processes if Path(process.command.split(" ")[0]).name.startswith("python")]
    started = {process.pid: process for process in python if TRAIN in process.command and _collection(process)}
    pool_processes = [process for process in python if POOL_PROCESS in process.command]
    workers = []
    for supervisor in started.values():
        if supervisor.parent in started or "SLURM_ARRAY_JOB_ID" not in supervisor.environment:
            continue
        child = next((process for process in started.values() if process.parent == supervisor.pid), None)
        pool = tuple(process for process in pool_processes if child and process.parent == child.pid)
        slurm = supervisor.environment
        task = f"{slurm['SLURM_ARRAY_JOB_ID']}_{slurm['SLURM_ARRAY_TASK_ID']}"
        node = slurm["SLURMD_NODENAME"]
        workers.append(LiveWorker(_collection(supervisor), task, node, supervisor, child, pool))
    return sorted(workers, key=lambda worker: worker.supervisor.pid)


def _collection(process: Process) -> str:
    """The collection in SEML's command; empty without one."""
    match = re.search(r"db_collection='?([\w.]+)'?", process.command)
    return match[1] if match else ""
