"""What Slurm says: the tasks it holds, and how it is configured.

SEML's own helper takes a Slurm that does not answer for one without tasks; here that is None, which is never "nothing
runs".
"""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from functools import cached_property

SECONDS_TO_ANSWER = 60.0
USUAL_ARRAY_SIZE = 1001
"""Slurm's default of MaxArraySize."""
GONE = {
    *("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL"),
    *("OUT_OF_MEMORY", "PREEMPTED", "REVOKED", "TIMEOUT"),
}
"""A task in one of these states has ended for good; one in any other, known or not, may still run or be run."""
OF_NO_ARRAY = 0
"""SEML gives a run this task id if the job that it runs in is no array."""


@dataclass(frozen=True)
class ActiveTasks:
    """The tasks that Slurm holds and has not ended: pending, running, suspended, completing, held or requeued."""

    tasks: frozenset[tuple[int, int]]
    """Pairs (array id, task id)."""

    @cached_property
    def arrays(self) -> frozenset[int]:
        return frozenset(array for array, _ in self.tasks)

    def holds(self, array_id: int, task_id: int) -> bool:
        """Whether this task of this array has not ended."""
        return (array_id, task_id) in self.tasks

    def holds_array(self, array_id: int) -> bool:
        """Whether any task of this array has not ended."""
        return array_id in self.arrays


@dataclass(frozen=True)
class Node:
    """A node: its state in Slurm's words, the reason for it, and its generic resources, as ``gpu:a100:4``."""

    name: str
    state: str
    reason: str
    gres: str

    @property
    def takes_jobs(self) -> bool:
        """Whether jobs run there, now, once others have ended, or once it is powered up."""
        state = self.state.rstrip("~#!%@^-+")
        return state in ("allocated", "completing", "idle", "mixed", "planned", "reserved") or state.startswith("power")


def nodes() -> list[Node] | None:
    """The nodes of all partitions; None if there is no Slurm, or it does not answer."""
    said = _answer("sinfo", "--Node", "--all", "--noheader", "--format=%N|%T|%E|%G")
    if said is None:
        return None
    by_name = {}
    for line in said.splitlines():
        name, state, *reason, gres = line.split("|")  # a reason may be any text
        by_name[name] = Node(name, state, "|".join(reason), gres)
    return list(by_name.values())


def active_tasks() -> ActiveTasks | None:
    """The tasks that have not ended; None if there is no Slurm, it does not answer, or it hides others' jobs.

    To learn which runs have lost their task, read the runs first and ask then: a task that began in between would
    seem gone.
    """
    private = _setting("PrivateData")
    if private is None or "jobs" in private.split(","):
        return None
    said = _answer("squeue", "--noheader", "--all", "--array", "--states=all", "--format=%F|%K|%A|%T")
    return None if said is None else ActiveTasks(_tasks(said))


def max_array_size() -> int | None:
    """The most tasks that Slurm takes in an array; None if there is no Slurm, or it does not answer."""
    size = _setting("MaxArraySize")
    return int(size) if size else None


def cluster_name() -> str | None:
    """The name that SEML notes in ``execution.cluster``; None if there is no Slurm, or it does not answer."""
    return _setting("ClusterName")


def states() -> frozenset[str] | None:
    """The states that this Slurm lets ask for; None if there is no Slurm, or it does not name them.

    SEML asks for its ``SLURM_STATES.ACTIVE``, and takes a refusal of one of these for a Slurm without tasks.
    """
    try:
        asked = subprocess.run(["squeue", "--states=?"], capture_output=True, text=True, timeout=SECONDS_TO_ANSWER)
    except (OSError, subprocess.SubprocessError):
        return None
    named = re.search(r"Valid job states include: (\S+)", asked.stderr)
    return frozenset(named[1].split(",")) if named else None


def _tasks(said: str) -> frozenset[tuple[int, int]]:
    """The active ones of squeue's lines ARRAY|TASK|JOB|STATE, one for each task."""
    tasks = set()
    for line in said.splitlines():
        array, task, job, state = line.split("|")
        if state in GONE:
            continue
        if task.isdecimal():
            tasks.add((int(array), int(task)))
        if job != array or not task.isdecimal():
            tasks.add((int(job), OF_NO_ARRAY))
    return frozenset(tasks)


def _setting(name: str) -> str | None:
    said = _answer("scontrol", "show", "config")
    found = re.search(rf"^{name}\s*=\s*(\S+)", said, re.MULTILINE) if said else None
    return found[1] if found else None


def _answer(*command: str) -> str | None:
    """What a program of Slurm prints; None if it fails. A user's SQUEUE_USERS and the like must not hide tasks."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SQUEUE_")}
    try:
        return subprocess.run(
            command,
            env=environment,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=SECONDS_TO_ANSWER,
            check=True,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
