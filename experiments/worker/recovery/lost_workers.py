"""Runs whose worker was lost: found, and made PENDING again.

A worker is lost for certain if Slurm no longer holds its task. Else it counts as lost when its lease is over: by the
database's clock, and not at once, since after an outage of the database all leases are over and their owners need a
moment to say that they live. So a lease that is over is marked first; the owner's next sign of life removes the mark.
Only a mark that has stood for a period of grace ends the claim. With it goes the token, and an owner that comes back
later writes nothing more.
"""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

from experiments.database.connection import Document, Runs, server_time
from experiments.database.run_status import COMPLETED, FAILED, KILLED, RUNNING
from experiments.slurm import ActiveTasks
from experiments.worker.leases import LEASE_SECONDS, UNCLAIMED, release_update
from experiments.worker.records.history import FIELDS, LOST, Attempt, record_attempts, record_lost_workers

TASK_GONE = "its Slurm task is gone"
GRACE = 0.2
"""The mark of a lease that is over must stand for this share of a lease."""


@dataclass
class Recovered:
    """What was found.

    Attributes
    ----------
    returned
        The number of runs made PENDING again, by the reason.
    silent
        Runs whose lease is over, and whose owner may still come back.
    unseen
        Runs in a task of a Slurm that cannot be asked from here, or does not answer.
    completed
        Runs that SEML had called KILLED and that have a result.
    """

    returned: Counter[str] = field(default_factory=Counter)
    silent: int = 0
    unseen: int = 0
    completed: int = 0

    def __add__(self, other: Recovered) -> Recovered:
        return Recovered(
            self.returned + other.returned,
            self.silent + other.silent,
            self.unseen + other.unseen,
            self.completed + other.completed,
        )


@dataclass(frozen=True)
class Owner:
    """Who has taken on runs: a worker, or SEML for a worker that is to come (``token`` None)."""

    token: str | None
    host: str | None
    cluster: str | None
    task: tuple[int, int] | None

    @classmethod
    def from_document(cls, document: Document) -> Owner:
        claim = document.get("claim", {})
        execution = claim.get("execution") or document.get("execution", {})
        task = (execution["array_id"], execution["task_id"]) if "task_id" in execution else None
        return cls(claim.get("token"), claim.get("host"), execution.get("cluster"), task)

    @property
    def runs(self) -> Document:
        """The filter of the owner's runs."""
        if self.token is not None:
            return {"claim.token": self.token}
        array, task = self.task or (None, None)
        return {**UNCLAIMED, "execution.array_id": array, "execution.task_id": task}


class Recovery:
    """Returns the runs of one collection whose workers were lost.

    Parameters
    ----------
    cluster
        The name of this Slurm; tasks of another cannot be asked for.
    active_tasks
        Asks Slurm for the tasks it holds.
    lease_seconds
        How long a lease is, and how long a run may wait for the worker that SEML starts for it outside Slurm.
    """

    def __init__(
        self,
        runs: Runs,
        cluster: str | None,
        active_tasks: Callable[[], ActiveTasks | None],
        lease_seconds: float = LEASE_SECONDS,
    ) -> None:
        self.runs, self.cluster, self.active_tasks, self.lease_seconds = runs, cluster, active_tasks, lease_seconds

    @property
    def grace_seconds(self) -> float:
        """How long a silent owner is waited for."""
        return GRACE * self.lease_seconds

    def recover_lost(self) -> Recovered:
        """Return the runs of lost workers, and mark those of silent ones."""
        rescued, owned = Recovered(), self._owned(RUNNING)
        now, tasks = server_time(self.runs.database), self._tasks(owned)
        for owner, documents in owned.items():
            held = self._held(owner, tasks)
            if held is False:
                self._take_away(owner, documents, RUNNING, TASK_GONE, rescued)
                continue
            if held is None and owner.task is not None:
                rescued.unseen += len(documents)
            silent = [document for document in documents if _lease_over(document, now, begins=held is True)]
            rescued.silent += len(silent)
            if silent:
                self._suspect(owner, documents, now, rescued)
        return rescued

    def recover_killed(self) -> Recovered:
        """Return the runs that SEML has called KILLED, and let those that have a result be COMPLETED.

        SEML looks at the queue and writes later: a run that was completed in between has its result, and SEML's status.
        """
        done = {"status": KILLED, "result": {"$exists": True}, "claim.token": {"$exists": True}}
        rescued = Recovered(completed=self.runs.update_many(done, {"$set": {"status": COMPLETED}}).modified_count)
        for owner, documents in self._owned(KILLED).items():
            self._take_away(owner, documents, KILLED, TASK_GONE, rescued)
        return rescued

    def recover_requeued(self, leader: Document, token: str) -> Recovered:
        """Return what earlier turns of the leader's Slurm task have left, which was put into the queue again."""
        rescued, task = Recovered(), Owner.from_document(leader).task
        for owner, documents in self._owned(RUNNING).items():
            if task is not None and owner.task == task and owner.token not in (None, token):
                self._take_away(owner, documents, RUNNING, "its Slurm task began anew", rescued)
        return rescued

    def _owned(self, status: str) -> dict[Owner, list[Document]]:
        owned: dict[Owner, list[Document]] = {}
        for document in self.runs.find({"status": status}, {**FIELDS, "suspected": 1}):
            owned.setdefault(Owner.from_document(document), []).append(document)
        return owned

    def _tasks(self, owners: Iterable[Owner]) -> ActiveTasks | None:
        """The tasks of Slurm, asked for after the owners were read; None where nobody works in Slurm."""
        here = self.cluster is not None and any(owner.cluster == self.cluster and owner.task for owner in owners)
        return self.active_tasks() if here else None

    def _held(self, owner: Owner, tasks: ActiveTasks | None) -> bool | None:
        """Whether Slurm holds the owner's task; None if it cannot say."""
        if tasks is None or owner.task is None or owner.cluster != self.cluster:
            return None
        return tasks.holds(*owner.task)

    def _suspect(self, owner: Owner, documents: list[Document], now: datetime.datetime, rescued: Recovered) -> None:
        """Mark the runs of an owner who is silent, and take away those that were marked long enough ago."""
        wait = self.grace_seconds if owner.token else self.lease_seconds
        since = now - datetime.timedelta(seconds=wait)
        reason = f"no sign of life from {owner.host}" if owner.token else "its worker never began"
        rescued.silent -= self._take_away(owner, documents, RUNNING, reason, rescued, suspected={"$lt": since})
        unmarked = {"status": RUNNING, **owner.runs, "suspected": {"$exists": False}}
        over = {"claim.lease": {"$lt": now}} if owner.token else {}
        self.runs.update_many({**unmarked, **over}, [{"$set": {"suspected": "$$NOW"}}])

    def _take_away(
        self,
        owner: Owner,
        documents: Collection[Document],
        status: str,
        reason: str,
        rescued: Recovered,
        **still: Document,
    ) -> int:
        """Make the runs PENDING that are still the owner's, and note why; return their number."""
        count = self.runs.update_many(
            {"status": status, **owner.runs, **still}, release_update(owner.token)
        ).modified_count
        if count:
            left = {"status": {"$in": [RUNNING, COMPLETED, FAILED]}, **owner.runs}
            kept = {document["_id"] for document in self.runs.find(left, {"_id": 1})}
            taken = [document for document in documents if document["_id"] not in kept]
            record_attempts(self.runs, (Attempt(document["_id"], LOST, reason) for document in taken), taken)
            record_lost_workers(self.runs, [owner.token] if owner.token else [], reason)
            rescued.returned[reason] += count
        return count


def _lease_over(document: Document, now: datetime.datetime, *, begins: bool) -> bool:
    """Whether the owner should have said something by now; ``begins``: its task is there, so its worker will come."""
    lease = document.get("claim", {}).get("lease")
    return not begins if lease is None else bool(lease < now)
