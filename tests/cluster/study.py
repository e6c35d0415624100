"""Study on the private cluster: its runs, the user's commands, and its results."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from experiments.database.connection import Document, Runs
from experiments.database.run_collections import ATTEMPTS, WORKERS
from experiments.database.run_status import COMPLETED, FAILED
from experiments.worker.records.run_document import compact
from tests.cluster.live_workers import LiveWorker, live_workers
from tests.cluster.private_slurm import PrivateSlurm
from walking_noise import RunConfig, train

WORKER_FIELDS = ("seconds", "pack_size", "provenance")
"""Fields of a result that depend on the worker. All other fields depend on the run's settings only."""
POLL_SECONDS = 1.0


@dataclass(frozen=True)
class Study:
    """The runs of a collection.

    Attributes
    ----------
    logs
        Folder of the logs of SEML's tasks and runs.
    command
        Runs a command of the user; returns its output.
    """

    name: str
    runs: Runs
    logs: Path
    slurm: PrivateSlurm
    command: Callable[..., str]

    @cached_property
    def size(self) -> int:
        return self.runs.count_documents({})

    def start(self, *, check: bool = True) -> str:
        """Run ``walking-noise start``; return its output. With ``check`` False it may fail."""
        return self.command("walking-noise", "start", self.name, check=check)

    def rescue(self, *options: str, check: bool = True) -> str:
        """Run ``walking-noise rescue``; return its output. With ``check`` False it may fail."""
        return self.command("walking-noise", "rescue", self.name, *options, check=check)

    def arrays(self) -> dict[int, int]:
        """Array id -> number of tasks, of all submitted arrays."""
        return {
            slurm["array_id"]: slurm["num_tasks"]
            for run in self.runs.find({}, {"slurm": 1})
            for slurm in run["slurm"]
            if slurm.get("array_id") is not None
        }

    def queue(self, *options: str) -> list[str]:
        """The study's tasks in Slurm's queue, as lines ``TASK STATE``."""
        return self.slurm.run("squeue", "-h", "-r", "-n", self.name, "-o", "%i %T", *options).splitlines()

    def statuses(self) -> Counter[str]:
        return Counter(run["status"] for run in self.runs.find({}, {"status": 1}))

    def workers(self) -> list[LiveWorker]:
        """The live workers of the study."""
        return [worker for worker in live_workers(self.slurm.processes()) if worker.collection == self.name]

    def in_training(self, seconds: float = 400.0) -> LiveWorker:
        """Wait until a live worker has written a checkpoint; return the worker."""
        checkpoints = self.logs / "state" / "checkpoints"

        def checkpoint_exists() -> bool:
            return any(file.is_file() for file in checkpoints.rglob("*")) and bool(self.workers())

        self.slurm.wait(checkpoint_exists, f"{self.name}: a worker trains", seconds)
        return self.workers()[0]

    def finish(self, seconds: float = 400.0, *, start: bool = True) -> None:
        """Wait until every run is completed and every worker has ended.

        With ``start``, runs without a task are rescued and started again, as a user or a cron job would do.
        """
        deadline, output = time.monotonic() + seconds, ""
        while (statuses := self.statuses())[COMPLETED] < self.size:
            assert not statuses[FAILED], self._failure()
            assert time.monotonic() < deadline, f"{self.name}: {statuses}, queue {self.queue()}, {output}"
            if start and not self.queue():
                output = self.rescue() + self.start(check=False)
            time.sleep(POLL_SECONDS)
        self.slurm.wait(lambda: not self.workers(), f"{self.name}: the end of all workers")

    def results(self) -> dict[int, Document]:
        """The results of completed runs, by run id, without the fields that depend on the worker."""
        return {run["_id"]: _outcome(run["result"]) for run in self.runs.find({"status": COMPLETED}, {"result": 1})}

    def undisturbed(self) -> dict[int, Document]:
        """The results of the same runs, trained in this process without a cluster, by run id."""
        documents = list(self.runs.find({}, {"config": 1}))
        results = train([RunConfig.from_document(document["config"]) for document in documents], device="cpu")
        outcomes = (_outcome(compact(result.to_document())) for result in results)
        return {document["_id"]: outcome for document, outcome in zip(documents, outcomes, strict=True)}

    def history(self) -> list[Document]:
        """The documents of its workers, ended and live, in the order of their start."""
        return list(self.runs.database[WORKERS].find({"collection": self.name}).sort("started", 1))

    def attempts(self) -> list[Document]:
        """The attempts at its runs that ended without a result."""
        return list(self.runs.database[ATTEMPTS].find({"collection": self.name}))

    def _failure(self) -> str:
        run = self.runs.find_one({"status": FAILED}) or {}
        return f"{self.name}: run {run.get('_id')} failed: {''.join(run.get('fail_trace', []))}"


def _outcome(result: Document) -> Document:
    return {name: value for name, value in result.items() if name not in WORKER_FIELDS}
