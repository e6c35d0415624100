"""Chaos monkey: disturbances of a cluster, one at a time, drawn by a seeded generator."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable

from tests.cluster.left_running import Process
from tests.cluster.login_node import LoginNode
from tests.cluster.private_slurm import Daemon
from tests.cluster.study import Study

DOWN_SECONDS = (1.0, 4.0)
"""Range of the time after which a killed daemon is started again."""
URGENT_SECONDS = 3


class Monkey:
    """Source of disturbances of ``study`` and of its cluster.

    Attributes
    ----------
    disturbances
        Number of disturbances by kind. The kinds of killed processes begin with ``kill -9``.
    """

    def __init__(self, study: Study, login: LoginNode, seed: int) -> None:
        self.study, self.login, self.slurm = study, login, login.slurm
        self.random = random.Random(seed)
        self.disturbances: Counter[str] = Counter()
        self._limited: set[str] = set()
        self._weights: dict[Callable[[], str | None], int] = {
            self._kill_supervisor: 2,
            self._kill_child: 2,
            self._kill_pool_process: 2,
            self._kill_worker: 3,
            self._kill_slurmd: 2,
            self._kill_slurmctld: 2,
            self._kill_database: 2,
            self._cancel: 1,
            self._requeue: 1,
            self._preempt: 1,
            self._limit_time: 1,
        }
        self._calls: Counter[Callable[[], str | None]] = Counter()

    @property
    def kills(self) -> int:
        return sum(count for kind, count in self.disturbances.items() if kind.startswith("kill -9"))

    def disturb(self) -> str | None:
        """Cause a disturbance that is possible now; return its kind, or None if none is possible.

        The disturbance with the smallest number of calls per weight comes first; the generator decides ties.
        """
        for cause in sorted(
            self._weights, key=lambda one: (self._calls[one] / self._weights[one], self.random.random())
        ):
            kind = cause()
            if kind is not None:
                self._calls[cause] += 1
                self.disturbances[kind] += 1
                return kind
        return None

    def _kill_supervisor(self) -> str | None:
        return self._kill("a worker's supervisor", [one.supervisor for one in self.study.workers()])

    def _kill_child(self) -> str | None:
        children = [worker.child for worker in self.study.workers() if worker.child is not None]
        return self._kill("the child of a worker's supervisor", children)

    def _kill_pool_process(self) -> str | None:
        return self._kill(
            "a process of a pool", [process for worker in self.study.workers() for process in worker.pool]
        )

    def _kill(self, kind: str, processes: list[Process]) -> str | None:
        return f"kill -9 {kind}" if processes and self.random.choice(processes).kill() else None

    def _kill_worker(self) -> str | None:
        workers = self.study.workers()
        if workers:
            self.random.choice(workers).kill()
        return "kill -9 all processes of a worker" if workers else None

    def _kill_slurmd(self) -> str:
        return self._restart("slurmd", self.slurm.nodes[self.random.choice(sorted(self.slurm.nodes))])

    def _kill_slurmctld(self) -> str:
        return self._restart("slurmctld", self.slurm.controller)

    def _restart(self, name: str, daemon: Daemon) -> str:
        daemon.kill()
        time.sleep(self.random.uniform(*DOWN_SECONDS))
        daemon.start()
        self.slurm.wait_for_nodes()
        return f"kill -9 {name}"

    def _kill_database(self) -> str:
        self.login.kill_database()
        time.sleep(self.random.uniform(*DOWN_SECONDS))
        self.login.start_database()
        return "kill -9 the database"

    def _cancel(self) -> str | None:
        return self._run_on_task("scancel", "scancel")

    def _requeue(self) -> str | None:
        return self._run_on_task("requeue", "scontrol", "requeue")

    def _run_on_task(self, kind: str, *command: str) -> str | None:
        """Run a command of Slurm on the task of a worker, which may have ended in the meantime."""
        workers = self.study.workers()
        if not workers:
            return None
        self.slurm.run(*command, self.random.choice(workers).task, check=False)
        return kind

    def _preempt(self) -> str:
        node = self.random.choice(sorted(self.slurm.nodes))
        job = [f"--nodelist={node}", "--exclusive", f"--wrap=sleep {URGENT_SECONDS}", "--output=/dev/null"]
        self.slurm.run("sbatch", "--partition=urgent", *job)
        return "preemption"

    def _limit_time(self) -> str | None:
        """Set the time limit of a task to the minimum, a minute. An exceeded limit is counted by its own kind."""
        free = [worker.task for worker in self.study.workers() if worker.task not in self._limited]
        if not free:
            return None
        task = self.random.choice(free)
        self._limited.add(task)
        self.slurm.run("scontrol", "update", f"JobId={task}", "TimeLimit=1", check=False)
        return "time limit brought forward"
