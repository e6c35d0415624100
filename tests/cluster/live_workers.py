"""The workers that live in the tasks of a private cluster, and their processes."""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.left_running import Process

LANE, TRAIN = "walking_noise.runtime.worker_process", "experiments/train.py"


@dataclass(frozen=True)
class LiveWorker:
    """A worker in a Slurm task.

    Attributes
    ----------
    task
        Its task as Slurm's commands take it, ``ARRAY_TASK``.
    supervisor
        The process that SEML started, which waits.
    trainer
        Its child, which does the work; None before it is forked.
    lanes
        The processes that train for it, on a node of several cores.
    """

    collection: str
    task: str
    node: str
    supervisor: Process
    trainer: Process | None
    lanes: tuple[Process, ...]

    @property
    def processes(self) -> list[Process]:
        """All of it; the supervisor first, so that nobody settles the death of the others."""
        return [process for process in (self.supervisor, self.trainer, *self.lanes) if process is not None]

    def kill(self, signum: int = signal.SIGKILL) -> None:
        """Send all of it a signal."""
        for process in self.processes:
            process.kill(signum)


def live_workers(processes: Sequence[Process]) -> list[LiveWorker]:
    """The workers among these processes."""
    python = [process for process in processes if Path(process.command.split(" ")[0]).name.startswith("python")]
    started = {process.pid: process for process in python if TRAIN in process.command and _collection(process)}
    lanes = [process for process in python if LANE in process.command]
    workers = []
    for supervisor in started.values():
        if supervisor.parent in started or "SLURM_ARRAY_JOB_ID" not in supervisor.environment:
            continue
        trainer = next((process for process in started.values() if process.parent == supervisor.pid), None)
        its_lanes = tuple(lane for lane in lanes if trainer and lane.parent == trainer.pid)
        slurm = supervisor.environment
        task = f"{slurm['SLURM_ARRAY_JOB_ID']}_{slurm['SLURM_ARRAY_TASK_ID']}"
        node = slurm["SLURMD_NODENAME"]
        workers.append(LiveWorker(_collection(supervisor), task, node, supervisor, trainer, its_lanes))
    return sorted(workers, key=lambda worker: worker.supervisor.pid)


def _collection(process: Process) -> str:
    """The collection that SEML's command names."""
    found = re.search(r"db_collection='?([\w.]+)'?", process.command)
    return found[1] if found else ""
