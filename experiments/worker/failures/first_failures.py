"""Stop of a study by its first failures: if many runs fail for one cause and none succeeds, the others would fail, too.

A stop is not stored: it follows from the runs that are FAILED now. It ends when they are reset, or when a run is
completed.
"""

from __future__ import annotations

from dataclasses import dataclass

from pymongo.database import Database

from experiments.database.connection import Document
from experiments.database.run_status import COMPLETED, FAILED
from experiments.worker.failures.failure_groups import FailureGroup, grouped
from experiments.worker.records.causes import MACHINE
from experiments.worker.records.study_record import forgotten_until

FIRST_FAILURES = 8
"""Number of runs that must fail for one cause before the first success. A cause that spares every second run, which is
no reason to stop, would stop one study in 256."""


@dataclass(frozen=True)
class Stop:
    """Stop of the study ``collection`` by a group of failures; ``node`` is the only node that stops, None for all."""

    collection: str
    group: FailureGroup
    node: str | None

    def __str__(self) -> str:
        return (
            f"{self.collection} is stopped{f' on node {self.node}' if self.node else ''}: no run is completed, "
            f"{self.group.failed_count:,} FAILED for one cause: {self.group.cause}"
        )

    @property
    def remedy(self) -> str:
        """The way on."""
        return (
            f"correct the cause, reset these runs (`walking-noise failures {self.collection}` prints the command), and "
            f"run `walking-noise start {self.collection}`"
        )


def stop_of(database: Database[Document], collection: str) -> Stop | None:
    """The stop of a study; None if it goes on.

    A cause that belongs to a machine and was only met on one node stops that node only.
    """
    runs = database[collection]
    if runs.find_one({"status": COMPLETED}, {"_id": 1}) is not None:
        return None
    if runs.count_documents({"status": FAILED}, limit=FIRST_FAILURES) < FIRST_FAILURES:
        return None
    groups = grouped(database, [collection], since=forgotten_until(database, collection))
    if not groups or groups[0].failed_count < FIRST_FAILURES:
        return None
    of_one_node = len(groups[0].nodes) == 1 and MACHINE.search(groups[0].cause)
    return Stop(collection, groups[0], next(iter(groups[0].nodes)) if of_one_node else None)
