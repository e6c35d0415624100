"""What befalls a cluster: one disturbance at a time, drawn by a seeded generator."""

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
"""A daemon that was killed is started again after a time between these."""
URGENT_SECONDS = 3


class Monkey:
    """Disturbs ``study`` and the cluster it runs on.

    Attributes
    ----------
    struck
        How often what has happened. Names that begin with ``kill -9`` are of processes that were killed.
    """

    def __init__(self, study: Study, login: LoginNode, seed: int) -> None:
        self.study, self.login, self.slurm = study, login, login.slurm
        self.random = random.Random(seed)
        self.struck: Counter[str] = Counter()
        self._limited: set[str] = set()
        self._often: dict[Callable[[], str | None], int] = {
            self._kill_supervisor: 2,
            self._kill_trainer: 2,
            self._kill_lane: 2,
            self._kill_worker: 3,
            self._kill_slurmd: 2,
            self._kill_slurmctld: 2,
            self._kill_database: 2,
            self._cancel: 1,
            self._requeue: 1,
            self._preempt: 1,
            self._limit_time: 1,
        }
        self._turns: Counter[Callable[[], str | None]] = Counter()

    @property
    def kills(self) -> int:
        return sum(count for name, count in self.struck.items() if name.startswith("kill -9"))

    def strike(self) -> str | None:
        """Do something that can be done now; what it was, None if nothing could.

        What has come least often, for how often it should, comes first; among equals the generator decides.
        """
        for way in sorted(self._often, key=lambda way: (self._turns[way] / self._often[way], self.random.random())):
            done = way()
            if done is not None:
                self._turns[way] += 1
                self.struck[done] += 1
                return done
        return None

    def _kill_supervisor(self) -> str | None:
        return self._kill("the process of a worker that SEML started", [one.supervisor for one in self.study.workers()])

    def _kill_trainer(self) -> str | None:
        trainers = [worker.trainer for worker in self.study.workers() if worker.trainer is not None]
        return self._kill("the process of a worker that trains", trainers)

    def _kill_lane(self) -> str | None:
        return self._kill("a lane", [lane for worker in self.study.workers() for lane in worker.lanes])

    def _kill(self, what: str, processes: list[Process]) -> str | None:
        return f"kill -9 {what}" if processes and self.random.choice(processes).kill() else None

    def _kill_worker(self) -> str | None:
        workers = self.study.workers()
        if workers:
            self.random.choice(workers).kill()
        return "kill -9 all of a worker" if workers else None

    def _kill_slurmd(self) -> str:
        return self._restart("slurmd", self.slurm.nodes[self.random.choice(sorted(self.slurm.nodes))])

    def _kill_slurmctld(self) -> str:
        return self._restart("slurmctld", self.slurm.controller)

    def _restart(self, what: str, daemon: Daemon) -> str:
        daemon.kill()
        time.sleep(self.random.uniform(*DOWN_SECONDS))
        daemon.start()
        self.slurm.wait_for_nodes()
        return f"kill -9 {what}"

    def _kill_database(self) -> str:
        self.login.kill_database()
        time.sleep(self.random.uniform(*DOWN_SECONDS))
        self.login.start_database()
        return "kill -9 the database"

    def _cancel(self) -> str | None:
        return self._tell("scancel", "scancel")

    def _requeue(self) -> str | None:
        return self._tell("requeue", "scontrol", "requeue")

    def _tell(self, what: str, *command: str) -> str | None:
        """Have Slurm do something to a task of a worker; it may have ended meanwhile."""
        workers = self.study.workers()
        if not workers:
            return None
        self.slurm.run(*command, self.random.choice(workers).task, check=False)
        return what

    def _preempt(self) -> str:
        node = self.random.choice(sorted(self.slurm.nodes))
        job = [f"--nodelist={node}", "--exclusive", f"--wrap=sleep {URGENT_SECONDS}", "--output=/dev/null"]
        self.slurm.run("sbatch", "--partition=urgent", *job)
        return "preemption"

    def _limit_time(self) -> str | None:
        """Give a task the least limit there is, a minute; it counts once it has ended so."""
        free = [worker.task for worker in self.study.workers() if worker.task not in self._limited]
        if not free:
            return None
        task = self.random.choice(free)
        self._limited.add(task)
        self.slurm.run("scontrol", "update", f"JobId={task}", "TimeLimit=1", check=False)
        return "time limit brought forward"
