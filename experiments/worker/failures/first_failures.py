"""Stop of a study by its first failures: if many runs fail for one cause and none succeeds, the others would fail, too.

A stop is not stored: it follows from the runs that are FAILED now. It ends when they are reset, or when a run is
completed. Runs that were released because the GPU failed are not FAILED; of these, the workers count instead of the
runs.
"""

from __future__ import annotations

from dataclasses import dataclass

from pymongo.database import Database

from experiments.database.connection import Document
from experiments.database.run_collections import WORKERS
from experiments.database.run_status import COMPLETED, FAILED
from experiments.worker.failures.failure_groups import FailureGroup, grouped
from experiments.worker.records.causes import MACHINE
from experiments.worker.records.history import GIVEN_BACK
from experiments.worker.records.study_record import forgotten_until

FIRST_FAILURES = 8
"""Number of runs, or of workers whose GPU failed, that must fail for one cause before the first success. A cause that
spares every second run, which is no reason to stop, would stop one study in 256."""


@dataclass(frozen=True)
class Stop:
    """Stop of the study ``collection`` by a group of failures; ``node`` is the only node that stops, None for all."""

    collection: str
    group: FailureGroup
    node: str | None

    def __str__(self) -> str:
        count = self.group.failed_count
        failed = f"{count:,} FAILED" if count else f"{len(self.group.workers):,} workers failed"
        return (
            f"{self.collection} is stopped{f' on node {self.node}' if self.node else ''}: no run is completed, "
            f"{failed} for one cause: {self.group.cause}"
        )

    @property
    def remedy(self) -> str:
        """The way on."""
        command = f"`walking-noise failures {self.collection}"
        go_on = f"reset these runs ({command}` prints the command)" if self.group.failed else f"run {command} --forget`"
        return f"correct the cause, {go_on}, and run `walking-noise start {self.collection}`"


def stop_of(database: Database[Document], collection: str) -> Stop | None:
    """The stop of a study; None if it goes on.

    A cause that belongs to a machine and was only met on one node stops that node only.
    """
    runs, faulty = database[collection], {"collection": collection, "fault": {"$exists": True}}
    if runs.find_one({"status": COMPLETED}, {"_id": 1}) is not None:
        return None
    counts = (runs.count_documents({"status": FAILED}, limit=FIRST_FAILURES), database[WORKERS].count_documents(faulty))
    if max(counts) < FIRST_FAILURES:
        return None
    groups = grouped(database, [collection], since=forgotten_until(database, collection))
    group = max(groups, key=_weight, default=None)
    if group is None or _weight(group) < FIRST_FAILURES:
        return None
    of_one_node = len(group.nodes) == 1 and MACHINE.search(group.cause)
    return Stop(collection, group, next(iter(group.nodes)) if of_one_node else None)


def _weight(group: FailureGroup) -> int:
    """Number of failures of a group that count: its FAILED runs, or the workers that released runs of a failed GPU."""
    released = group.example.end == GIVEN_BACK and MACHINE.search(group.cause)
    return max(group.failed_count, len(group.workers) if released else 0)
