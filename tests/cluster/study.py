"""A grid on the private cluster: its runs, the commands on it, and whether all came to the right end."""

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
from experiments.database.stored_config import run_config
from experiments.worker.records.compact_result import compact
from tests.cluster.live_workers import LiveWorker, live_workers
from tests.cluster.private_slurm import PrivateSlurm
from walking_noise import train

OF_THE_ATTEMPT = ("seconds", "pack_size", "provenance")
"""These fields of a result tell how it was come by; the others, what came out."""
POLL_SECONDS = 1.0


@dataclass(frozen=True)
class Study:
    """The runs of a collection.

    Attributes
    ----------
    logs
        Where SEML puts the output of its tasks and runs.
    command
        Runs a command of the user.
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
        """Submit what is to be run; what was said. Without ``check`` there may be nothing, or no Slurm."""
        return self.command("walking-noise", "start", self.name, check=check)

    def rescue(self, *options: str, check: bool = True) -> str:
        """Return the runs of lost workers; what was said."""
        return self.command("walking-noise", "rescue", self.name, *options, check=check)

    def arrays(self) -> dict[int, int]:
        """The arrays submitted so far, with the number of their tasks."""
        return {
            slurm["array_id"]: slurm["num_tasks"]
            for run in self.runs.find({}, {"slurm": 1})
            for slurm in run["slurm"]
            if slurm.get("array_id") is not None
        }

    def queue(self, *options: str) -> list[str]:
        """Its tasks that Slurm holds, as lines ``TASK STATE``."""
        return self.slurm.run("squeue", "-h", "-r", "-n", self.name, "-o", "%i %T", *options).splitlines()

    def statuses(self) -> Counter[str]:
        return Counter(run["status"] for run in self.runs.find({}, {"status": 1}))

    def workers(self) -> list[LiveWorker]:
        """Those that live now."""
        return [worker for worker in live_workers(self.slurm.processes()) if worker.collection == self.name]

    def in_training(self, seconds: float = 120.0) -> LiveWorker:
        """Wait until a worker has something to lose: a checkpoint of it is on disk, but not all is done."""
        checkpoints = self.logs / "state" / "checkpoints"

        def trains() -> bool:
            return any(file.is_file() for file in checkpoints.rglob("*")) and bool(self.workers())

        self.slurm.wait(trains, f"{self.name}: a worker trains", seconds)
        return self.workers()[0]

    def finish(self, seconds: float = 240.0, *, start: bool = True) -> None:
        """Wait until every run is completed and every worker has ended.

        With ``start``, what has no task left is started again, as a user or cron would do.
        """
        end, said = time.monotonic() + seconds, ""
        while (statuses := self.statuses())[COMPLETED] < self.size:
            assert not statuses[FAILED], self._failure()
            assert time.monotonic() < end, f"{self.name}: {statuses}, queue {self.queue()}, {said}"
            if start and not self.queue():
                said = self.rescue() + self.start(check=False)
            time.sleep(POLL_SECONDS)
        self.slurm.wait(lambda: not self.workers(), f"{self.name}: the workers have ended")

    def results(self) -> dict[int, Document]:
        """What came out, by run."""
        return {run["_id"]: _outcome(run["result"]) for run in self.runs.find({"status": COMPLETED}, {"result": 1})}

    def undisturbed(self) -> dict[int, Document]:
        """What comes out of the same runs if they are trained here and now, without a cluster."""
        documents = list(self.runs.find({}, {"config": 1}))
        results = train([run_config(document["config"]) for document in documents], device="cpu")
        outcomes = (_outcome(compact(result.to_document())) for result in results)
        return {document["_id"]: outcome for document, outcome in zip(documents, outcomes, strict=True)}

    def history(self) -> list[Document]:
        """Its workers, dead and alive, from the first to the last."""
        return list(self.runs.database[WORKERS].find({"collection": self.name}).sort("started", 1))

    def attempts(self) -> list[Document]:
        """The attempts at its runs that ended without a result."""
        return list(self.runs.database[ATTEMPTS].find({"collection": self.name}))

    def _failure(self) -> str:
        run = self.runs.find_one({"status": FAILED}) or {}
        return f"{self.name}: run {run.get('_id')} failed: {''.join(run.get('fail_trace', []))}"


def _outcome(result: Document) -> Document:
    return {name: value for name, value in result.items() if name not in OF_THE_ATTEMPT}
