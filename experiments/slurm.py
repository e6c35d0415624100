"""Queries to Slurm: active tasks, nodes and configuration.

Each function returns None if Slurm does not answer; None never means that nothing runs. SEML's own helper does not make
this distinction: it treats a Slurm that does not answer as one without tasks.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property

TIMEOUT_SECONDS = 60.0
"""Timeout of a query."""
DEFAULT_ARRAY_SIZE = 1001
"""Slurm's default of MaxArraySize."""
ENDED = {
    *("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL"),
    *("OUT_OF_MEMORY", "PREEMPTED", "REVOKED", "TIMEOUT"),
}
"""States of tasks that have ended and will not run again. A task in any other state, known or not, may still run."""
TASK_WITHOUT_ARRAY = 0
"""The task id that SEML stores for a run whose job is not an array."""
OUT_OF_MEMORY = "OUT_OF_MEMORY"
"""The state of a task that was killed for memory."""


@dataclass(frozen=True)
class ActiveTasks:
    """Tasks that Slurm knows and that have not ended: pending, running, suspended, completing, held or requeued."""

    tasks: frozenset[tuple[int, int]]
    """Pairs (array id, task id)."""
    ended: Mapping[tuple[int, int], str] = field(default_factory=dict)
    """The state of each task that has ended within the last minutes (Slurm's ``MinJobAge``)."""

    @cached_property
    def arrays(self) -> frozenset[int]:
        """Ids of the arrays with a task that has not ended."""
        return frozenset(array for array, _ in self.tasks)


def node_name() -> str:
    """The name of this machine: the one that Slurm gave the node of a task, which may differ from the host name."""
    return os.environ.get("SLURMD_NODENAME") or socket.gethostname()


def nodes() -> list[str] | None:
    """The names of the nodes of all partitions; None if there is no Slurm or it does not answer."""
    output = _output("sinfo", "--Node", "--all", "--noheader", "--format=%N")
    return None if output is None else list(dict.fromkeys(output.split()))


def active_tasks() -> ActiveTasks | None:
    """The tasks that have not ended; None if there is no Slurm, it does not answer, or it hides other users' jobs.

    To find runs whose task has ended, read the runs first and call this function afterwards. In the opposite order, a
    task that starts between the two steps would seem to have ended.
    """
    private = _setting("PrivateData")
    if private is None or "jobs" in private.split(","):
        return None
    output = _output("squeue", "--noheader", "--all", "--array", "--states=all", "--format=%F|%K|%A|%T")
    return None if output is None else _parse_tasks(output)


def states_of_ended(tasks: Collection[tuple[int, int]]) -> dict[tuple[int, int], str]:
    """The states in which tasks of arrays have ended, as the accounting of Slurm knows them.

    A task is left out if the accounting does not know its end. Many clusters have no accounting.
    """
    jobs = ",".join(f"{array}_{task}" for array, task in sorted(tasks))
    fields = ("--noheader", "--parsable2", "--allocations", "--format=JobID,State")
    output = _output("sacct", *fields, f"--jobs={jobs}") if tasks else None
    found = re.findall(r"^(\d+)_(\d+)\|([A-Z_]+)", output or "", re.MULTILINE)
    return {(int(array), int(task)): state for array, task, state in found if state in ENDED}


def is_configured(timeout: float) -> bool:
    """Whether Slurm's commands find the configuration of a cluster, or search longer than ``timeout`` seconds."""
    try:
        finished = _run("scontrol", "show", "config", timeout=timeout)
    except subprocess.TimeoutExpired:
        return True
    return "Could not establish a configuration source" not in finished.stderr


def max_array_size(timeout: float | None = None) -> int | None:
    """The limit of tasks in an array; None if there is no Slurm or it does not answer within ``timeout`` seconds."""
    size = _setting("MaxArraySize", timeout)
    return int(size) if size else None


def cluster_name() -> str | None:
    """The name that SEML stores in ``execution.cluster``; None if there is no Slurm or it does not answer."""
    return _setting("ClusterName")


def known_states() -> frozenset[str] | None:
    """The job states that this version of Slurm accepts in a query; None if there is no Slurm or it does not list them.

    SEML queries the states in its ``SLURM_STATES.ACTIVE``. If Slurm rejects one of them, SEML concludes that no task
    is active.
    """
    try:
        finished = _run("squeue", "--states=?")
    except (OSError, subprocess.SubprocessError):
        return None
    states = re.search(r"Valid job states include: (\S+)", finished.stderr)
    return frozenset(states[1].split(",")) if states else None


def _parse_tasks(output: str) -> ActiveTasks:
    """The tasks in the output of squeue, which has one line ARRAY|TASK|JOB|STATE per task."""
    tasks, ended = set[tuple[int, int]](), dict[tuple[int, int], str]()
    for line in output.splitlines():
        array, task, job, state = line.split("|")
        names = {(int(array), int(task))} if task.isdecimal() else set()
        if job != array or not task.isdecimal():
            names.add((int(job), TASK_WITHOUT_ARRAY))
        if state in ENDED:
            ended |= dict.fromkeys(names, state)
        else:
            tasks |= names
    return ActiveTasks(frozenset(tasks), ended)


def _setting(name: str, timeout: float | None = None) -> str | None:
    output = _output("scontrol", "show", "config", timeout=timeout)
    setting = re.search(rf"^{name}\s*=\s*(\S+)", output, re.MULTILINE) if output else None
    return setting[1] if setting else None


def _output(*command: str, timeout: float | None = None) -> str | None:
    """The output of a Slurm command; None if it fails, or takes longer than ``timeout`` or :data:`TIMEOUT_SECONDS`."""
    try:
        finished = _run(*command, timeout=timeout)
    except (OSError, subprocess.SubprocessError):
        return None
    return finished.stdout if finished.returncode == 0 else None


def _run(*command: str, timeout: float | None = None) -> subprocess.CompletedProcess[str]:
    """Run a Slurm command, and kill it and all that it has started after ``timeout`` or :data:`TIMEOUT_SECONDS`.

    On many clusters the commands are scripts; a program that such a script has started would keep the output open.
    Variables such as ``SQUEUE_USERS`` are removed from the environment, because they would hide tasks.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("SQUEUE_", "SACCT_"))}
    with subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as process:
        try:
            output, errors = process.communicate(timeout=timeout or TIMEOUT_SECONDS)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    return subprocess.CompletedProcess(command, process.returncode, output, errors)
