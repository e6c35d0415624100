"""Startable runs, divided into parts that are small enough for a Slurm array.

``seml start`` submits the runs of a batch as one array, regardless of their number, and sets them to PENDING once Slurm
has accepted the array. Therefore, if SEML is interrupted, each of these runs is either STAGED, or PENDING in an array.

Runs can remain PENDING after their array has ended: a worker released them when no task of the array was left, or Slurm
lost the array. These runs are *stranded*: no task will lease them, and SEML only starts STAGED runs. Eventually `seml
status` sets them to KILLED.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from experiments.database.connection import Document, Runs
from experiments.database.run_status import KILLED, PENDING, STAGED
from experiments.slurm import ActiveTasks
from experiments.worker.leases import UNCLAIMED

START_FIELDS = (
    *("execution", "fail_trace"),
    *(f"slurm.$[].{name}" for name in ("array_id", "num_tasks", "output_files_template", "reschedule_file")),
    *(f"slurm.$[].sbatch_options.{name}" for name in ("job-name", "output", "array", "comment")),
)
"""Fields that describe one start of a run; SEML does not start a run again while it has them."""
UNKNOWN_CLUSTER = ("", "local", None)
"""Values that SEML stores as the cluster if Slurm did not return its name, or if the run was elsewhere before."""
RESTAGED = {"$set": {"status": STAGED}, "$unset": dict.fromkeys(START_FIELDS, "")}


@dataclass(frozen=True)
class Startable:
    """Runs of a collection that a user wants to start: those that match ``selection``, which names no status."""

    runs: Runs
    selection: Document

    def count(self, status: str) -> int:
        """The number of runs with a status."""
        return self.runs.count_documents(self._matching(status=status))

    def statuses(self) -> dict[str, int]:
        """The number of runs by status."""
        groups = self.runs.aggregate([{"$match": self.selection}, {"$group": {"_id": "$status", "runs": {"$sum": 1}}}])
        return {group["_id"]: group["runs"] for group in sorted(groups, key=lambda group: str(group["_id"]))}

    def experiments_per_job_above_one(self) -> int:
        """The number of STAGED and PENDING runs with ``experiments_per_job`` above 1."""
        several = {"slurm.experiments_per_job": {"$gt": 1}}
        return self.runs.count_documents(self._matching(status={"$in": [STAGED, PENDING]}, **several))

    def restage_from_slurm(self, cluster: str, active_tasks: Callable[[], ActiveTasks | None]) -> int | None:
        """Set to STAGED the runs that ended arrays of this cluster have left stranded; return their number.

        None if stranded runs may exist, but Slurm does not list its tasks (``active_tasks`` returns None).
        """
        here = {"execution.cluster": {"$in": [cluster, *UNKNOWN_CLUSTER]}, "execution.task_id": {"$exists": False}}
        waiting = self._matching(status={"$in": [PENDING, KILLED]}, **UNCLAIMED, **here)
        groups: list[Document] = [{"$match": waiting}, {"$unwind": "$slurm"}, {"$group": {"_id": "$slurm.array_id"}}]
        arrays = [group["_id"] for group in self.runs.aggregate(groups) if group["_id"] is not None]
        if not arrays:
            return 0
        tasks = active_tasks()
        if tasks is None:
            return None
        active = [array for array in arrays if array in tasks.arrays]
        ended = [array for array in arrays if array not in tasks.arrays]
        stranded = {**waiting, "slurm.array_id": {"$in": ended, "$nin": active}}
        return self.runs.update_many(stranded, RESTAGED).modified_count

    def restage_local(self) -> int:
        """Set to STAGED the PENDING runs that were started without Slurm and that no worker has leased.

        Return their number.
        """
        waiting = self._matching(status=PENDING, **UNCLAIMED, **{"slurm.array_id": {"$exists": False}})
        return self.runs.update_many(waiting, RESTAGED).modified_count

    def parts(self, size: int, limit: int | None = None) -> Iterator[tuple[int, int]]:
        """Divide the STAGED runs of each batch into parts of at most ``size`` runs, at most ``limit`` runs in total.

        Yield the batch and the number of runs of each part, which becomes one array for each Slurm configuration of the
        batch.
        """
        group: Document = {"_id": "$batch_id", "runs": {"$sum": 1}}
        batches = self.runs.aggregate([{"$match": self._matching(status=STAGED)}, {"$group": group}])
        remaining = limit
        for batch in sorted(batches, key=lambda batch: int(batch["_id"])):
            runs = batch["runs"] if remaining is None else min(batch["runs"], remaining)
            remaining = None if remaining is None else remaining - runs
            for first in range(0, runs, size):
                yield batch["_id"], min(size, runs - first)

    def _matching(self, **more: object) -> Document:
        return {"$and": [self.selection], **more} if self.selection else more
