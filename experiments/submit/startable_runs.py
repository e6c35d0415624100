"""Which runs can be started, and in which parts Slurm takes them.

``seml start`` makes one array of the runs of a batch, however many they are, and calls them PENDING once Slurm has
it: whatever ends SEML in between, a run is STAGED, or PENDING in an array. When an array has ended, PENDING runs can
remain, given back by a worker when no task was left for them, or in an array that Slurm has lost. They are stranded: no
task will claim them, and SEML starts what is STAGED only; in time `seml status` calls them KILLED.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from experiments.database.connection import Document, Runs
from experiments.database.run_status import KILLED, PENDING, STAGED
from experiments.slurm import ActiveTasks
from experiments.worker.leases import UNCLAIMED

OF_A_START = (
    *("execution", "fail_trace"),
    *(f"slurm.$[].{name}" for name in ("array_id", "num_tasks", "output_files_template", "reschedule_file")),
    *(f"slurm.$[].sbatch_options.{name}" for name in ("job-name", "output", "array", "comment")),
)
"""These fields tell of one start of a run; with them SEML refuses to start it again."""
UNNAMED = ("", "local", None)
"""What SEML notes as the cluster if Slurm does not say its name just then, or a run has been elsewhere before."""
RESTAGED = {"$set": {"status": STAGED}, "$unset": dict.fromkeys(OF_A_START, "")}


@dataclass(frozen=True)
class Part:
    """So many STAGED runs of a batch, which become an array for each of the batch's Slurm configurations."""

    batch: int
    runs: int


@dataclass(frozen=True)
class Startable:
    """The runs of a collection that a user wants to be started.

    Parameters
    ----------
    chosen
        Their filter, which says nothing of the status.
    """

    runs: Runs
    chosen: Document

    def count(self, status: str) -> int:
        """How many of them are in a status."""
        return self.runs.count_documents(self._those(status=status))

    def statuses(self) -> dict[str, int]:
        """How many of them are in which status."""
        groups = self.runs.aggregate([{"$match": self.chosen}, {"$group": {"_id": "$status", "runs": {"$sum": 1}}}])
        return {group["_id"]: group["runs"] for group in sorted(groups, key=lambda group: str(group["_id"]))}

    def several_per_job(self) -> int:
        """How many of those that wait have ``experiments_per_job`` above 1."""
        several = {"slurm.experiments_per_job": {"$gt": 1}}
        return self.runs.count_documents(self._those(status={"$in": [STAGED, PENDING]}, **several))

    def most_at_once(self) -> int | None:
        """The least ``max_simultaneous_jobs`` of those that are STAGED; None if none has any."""
        return min(self._of_slurm("max_simultaneous_jobs", self._those(status=STAGED)), default=None)

    def take_up_from_slurm(self, cluster: str, active_tasks: Callable[[], ActiveTasks | None]) -> int | None:
        """Make the runs STAGED that were stranded by arrays of this cluster; return their number.

        None if there may be some, but Slurm does not say (``active_tasks``) which tasks it holds.
        """
        here = {"execution.cluster": {"$in": [cluster, *UNNAMED]}, "execution.task_id": {"$exists": False}}
        waiting = self._those(status={"$in": [PENDING, KILLED]}, **UNCLAIMED, **here)
        arrays = self._of_slurm("array_id", waiting)
        if not arrays:
            return 0
        tasks = active_tasks()
        if tasks is None:
            return None
        held = [array for array in arrays if tasks.holds_array(array)]
        gone = [array for array in arrays if not tasks.holds_array(array)]
        stranded = {**waiting, "slurm.array_id": {"$in": gone, "$nin": held}}
        return self.runs.update_many(stranded, RESTAGED).modified_count

    def take_up_local(self) -> int:
        """Make the runs STAGED that were to be trained without Slurm and have not begun; return their number."""
        waiting = self._those(status=PENDING, **UNCLAIMED, **{"slurm.array_id": {"$exists": False}})
        return self.runs.update_many(waiting, RESTAGED).modified_count

    def parts(self, size: int, most: int | None = None) -> Iterator[Part]:
        """Cut what is STAGED into parts of at most ``size`` runs, batch by batch; ``most``: no more runs in all."""
        group: Document = {"_id": "$batch_id", "runs": {"$sum": 1}}
        batches = self.runs.aggregate([{"$match": self._those(status=STAGED)}, {"$group": group}])
        left = most
        for batch in sorted(batches, key=lambda batch: int(batch["_id"])):
            runs = batch["runs"] if left is None else min(batch["runs"], left)
            left = None if left is None else left - runs
            for first in range(0, runs, size):
                yield Part(batch["_id"], min(size, runs - first))

    def _of_slurm(self, name: str, matching: Document) -> list[int]:
        """The different values that a field of ``slurm`` has in the runs that match."""
        groups: list[Document] = [{"$match": matching}, {"$unwind": "$slurm"}, {"$group": {"_id": f"$slurm.{name}"}}]
        return [group["_id"] for group in self.runs.aggregate(groups) if group["_id"] is not None]

    def _those(self, **more: object) -> Document:
        return {"$and": [self.chosen], **more} if self.chosen else more
