"""Startable runs: those that are STAGED, and those that no task of Slurm will lease.

SEML sets runs to PENDING once Slurm has accepted their array. Therefore, if the submission is interrupted, each of
these runs is either STAGED, or PENDING in an array.

Runs can remain PENDING although no task of their array will lease them: the array has ended, Slurm lost it, or each of
its last tasks trains a pack already, and a task trains one pack. These runs are *stranded*: SEML only starts STAGED
runs. Once the array has ended, `seml status` sets them to KILLED.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from experiments.database.connection import Document, Runs
from experiments.database.run_status import KILLED, PENDING, RUNNING, STAGED
from experiments.slurm import ActiveTasks
from experiments.worker.leases import RESTAGED, UNCLAIMED

UNKNOWN_CLUSTER = ("", "local", None)
"""Values that SEML stores as the cluster if Slurm did not return its name, or if the run was elsewhere before."""


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
        """Set to STAGED the runs that arrays of this cluster have left stranded; return their number.

        None if stranded runs may exist, but Slurm does not list its tasks (``active_tasks`` returns None). A task that
        has leased its pack may return to the queue and lease another one, but need not; a task without leases will.
        """
        here = {"execution.cluster": {"$in": [cluster, *UNKNOWN_CLUSTER]}, "execution.task_id": {"$exists": False}}
        waiting = self._matching(status={"$in": [PENDING, KILLED]}, **UNCLAIMED, **here)
        groups: list[Document] = [{"$match": waiting}, {"$unwind": "$slurm"}, {"$group": {"_id": "$slurm.array_id"}}]
        arrays = [group["_id"] for group in self.runs.aggregate(groups) if group["_id"] is not None]
        if not arrays:
            return 0
        training, tasks = self._training_tasks(), active_tasks()
        if tasks is None:
            return None
        available = {array for array, _ in tasks.tasks - training}
        active = [array for array in arrays if array in available]
        ended = [array for array in arrays if array not in available]
        stranded = {**waiting, "slurm.array_id": {"$in": ended, "$nin": active}}
        return self.runs.update_many(stranded, RESTAGED).modified_count

    def restage_local(self) -> int:
        """Set to STAGED the PENDING runs that were started without Slurm and that no worker has leased.

        Return their number.
        """
        waiting = self._matching(status=PENDING, **UNCLAIMED, **{"slurm.array_id": {"$exists": False}})
        return self.runs.update_many(waiting, RESTAGED).modified_count

    def staged(self, limit: int | None = None) -> list[Document]:
        """The STAGED runs, at most ``limit``: their settings, batches, Slurm options and environments.

        They are sorted by batch and id. Environment and Slurm options are those of the batch, in its first run only.
        """
        found = self.runs.find(self._matching(status=STAGED), {"batch_id": 1, "config": 1})
        documents = sorted(found, key=lambda run: (int(run["batch_id"]), run["_id"]))[:limit]
        batches: set[int] = set()
        for document in documents:
            if document["batch_id"] not in batches:
                batches.add(document["batch_id"])
                document |= self.runs.find_one({"_id": document["_id"]}, {"seml.env": 1, "slurm": 1}) or {}
        return documents

    def _training_tasks(self) -> set[tuple[int, int]]:
        """The Slurm tasks, as (array id, task id), whose worker has leased its pack."""
        training = {"status": RUNNING, "claim.execution.task_id": {"$exists": True}}
        task = {"array": "$claim.execution.array_id", "task": "$claim.execution.task_id"}
        groups = self.runs.aggregate([{"$match": training}, {"$group": {"_id": task}}])
        return {(group["_id"]["array"], group["_id"]["task"]) for group in groups}

    def _matching(self, **more: object) -> Document:
        return {"$and": [self.selection], **more} if self.selection else more
