"""A worker's line to the database whose clock is a number, and which works when it is told to."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from pymongo.errors import AutoReconnect

from experiments.database.connection import Document, Runs
from experiments.worker.assignment import Assignment
from experiments.worker.delivery.delivery import Delivery
from experiments.worker.delivery.spool import Spool
from experiments.worker.leases import LEASE_SECONDS, Leases
from experiments.worker.records.run_document import start_fields
from experiments.worker.records.run_logs import RunLogs

EXPERIMENT = {"name": "walking_noise", "base_dir": "/x", "sources": [["a.py", "md5"]], "mainfile": "train.py"}
HOST = {"hostname": "node7", "os": ["Linux", "6"], "gpus": {"gpus": []}, "ENV": {}}


class Away:
    """A collection of runs whose database may be away."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs
        self.away = False

    def __getattr__(self, name: str):
        if self.away and name not in ("name", "database"):
            raise AutoReconnect("connection refused, or so")
        return getattr(self._runs, name)


@dataclass
class Line:
    """The line of a worker that has claimed runs 1, 2 and 3, of which 1 is the leader."""

    runs: Runs
    folder: Path
    seconds: float = 0.0
    lease_seconds: float = LEASE_SECONDS
    recorded: list[set[int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.runs.update_one({"_id": 1}, {"$set": {"status": "RUNNING", "execution": {"cluster": "local"}}})
        leader = self.document(1)
        self.reach = Away(self.runs)
        leases = Leases(self.reach, Assignment(self.runs.name, 1), self.lease_seconds)  # type: ignore[arg-type]
        leases.acquire(leader, {"status": "PENDING"}, [2, 3])
        self.spool = Spool(self.folder / "undelivered")
        self.delivery = Delivery(
            leases, RunLogs(leader), {1, 2, 3}, self.spool, 600.0, self.recorded.append, lambda: self.seconds
        )
        self.delivery.begin(
            start_fields(EXPERIMENT, HOST, "main"), leader, host="node7", device="a GPU", gpu=True, version="1.0"
        )

    def document(self, run: int) -> Document:
        found = self.runs.find_one({"_id": run})
        assert found is not None
        return found

    def later(self, seconds: float) -> None:
        """What is done after so many seconds."""
        self.seconds += seconds
        self.delivery.step()
