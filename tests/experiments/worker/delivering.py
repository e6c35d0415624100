"""Test harness of a worker's delivery: with a clock that the test sets, and without a thread."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from pymongo.errors import AutoReconnect

from experiments.database.connection import Document, Runs
from experiments.worker.assignment import Assignment
from experiments.worker.delivery.delivery import Delivery
from experiments.worker.leases import LEASE_SECONDS, Leases
from experiments.worker.records.run_document import start_fields
from experiments.worker.records.run_logs import RunLogs

EXPERIMENT = {"name": "walking_noise", "base_dir": "/x", "sources": [["a.py", "md5"]], "mainfile": "train.py"}
HOST = {"hostname": "node7", "os": ["Linux", "6"], "gpus": {"gpus": []}, "ENV": {}}


class UnreliableCollection:
    """A collection of runs whose database can be made unreachable."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs
        self.unreachable = False

    def __getattr__(self, name: str):
        if self.unreachable and name not in ("name", "database"):
            raise AutoReconnect("connection refused, as an example")
        return getattr(self._runs, name)


@dataclass
class DeliveryHarness:
    """The delivery of a worker that has leased runs 1, 2 and 3; run 1 is the leader."""

    runs: Runs
    folder: Path
    seconds: float = 0.0
    lease_seconds: float = LEASE_SECONDS
    recorded: list[set[int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.runs.update_one({"_id": 1}, {"$set": {"status": "RUNNING", "execution": {"cluster": "local"}}})
        leader = self.document(1)
        self.connection = UnreliableCollection(self.runs)
        leases = Leases(self.connection, Assignment(self.runs.name, 1), self.lease_seconds)  # type: ignore[arg-type]
        leases.acquire(leader, {"status": "PENDING"}, [2, 3])
        self.spool = self.folder / "undelivered"
        self.delivery = Delivery(
            leases, RunLogs(leader), {1, 2, 3}, self.spool, 600.0, self.recorded.append, lambda: self.seconds
        )
        self.delivery.begin(
            start_fields(EXPERIMENT, HOST, "main"), leader, host="node7", device="a GPU", gpu=True, version="1.0"
        )

    def document(self, run: int) -> Document:
        document = self.runs.find_one({"_id": run})
        assert document is not None
        return document

    def advance(self, seconds: float) -> None:
        """Advance the clock, then do what the thread would do."""
        self.seconds += seconds
        self.delivery.step()
