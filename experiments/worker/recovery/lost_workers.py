"""Detection of lost workers, and recovery of their runs, which become PENDING again.

A worker is certainly lost if its Slurm task is no longer active. Otherwise it counts as lost if it does not renew its
leases. Lease times are compared with the database's clock. After an outage of the database all leases have expired, and
workers need some time to renew them. An expired lease is therefore only marked at first, with the field ``suspected``,
and the next heartbeat of the worker removes the mark. If the mark remains for a grace period, the lease ends: the token
is removed from the document, and the worker can no longer write to the run. A lease that ends later than one that
starts now was written before the database's clock was set back; it counts as expired, too.
"""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field

from experiments.database.connection import Document, Runs, server_time
from experiments.database.run_status import COMPLETED, FAILED, KILLED, RUNNING
from experiments.slurm import OUT_OF_MEMORY, ActiveTasks, states_of_ended
from experiments.worker.leases import LEASE_SECONDS, UNCLAIMED, release_update
from experiments.worker.records import history
from experiments.worker.records.history import FIELDS, LOST, Attempt, record_attempts, record_lost_workers
from experiments.worker.recovery.out_of_memory import (
    TOO_LARGE,
    had_smallest_pack,
    halve_packs,
    killed_in_tasks,
    recently_killed,
)

TASK_ENDED = "Slurm task has ended"
GRACE = 0.2
"""The grace period after which a marked lease ends, as a share of the lease's duration."""


@dataclass
class Recovered:
    """Counts of runs found by a recovery; ``silent``, ``starting`` and ``unseen`` are those of its last search."""

    returned: Counter[str] = field(default_factory=Counter)  # PENDING again, by the reason
    silent: int = 0  # the lease has expired, but the worker may still come back
    starting: int = 0  # started outside Slurm, but not leased yet
    unseen: int = 0  # in a task of a Slurm that cannot be queried from here, or does not answer
    completed: int = 0  # with a result, but set to KILLED by SEML
    failed: int = 0  # of workers that were killed for memory with packs of one network
    limits: list[str] = field(default_factory=list)  # messages about packs that are smaller from now on


@dataclass(frozen=True)
class Owner:
    """Owner of runs: a worker.

    If ``token`` is None, SEML has started the worker, but it has not leased its run yet.
    """

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
    """Recovery of the runs of lost workers in one collection. All methods return the same counts, and add to them.

    ``cluster`` is the name of this machine's Slurm cluster; tasks of other clusters cannot be queried. ``active_tasks``
    queries Slurm, and returns None if Slurm does not answer. A run that SEML starts outside Slurm waits for its worker
    as long as a lease lasts.
    """

    def __init__(
        self,
        runs: Runs,
        cluster: str | None,
        active_tasks: Callable[[], ActiveTasks | None],
        lease_seconds: float = LEASE_SECONDS,
    ) -> None:
        self.runs, self.cluster, self.active_tasks, self.lease_seconds = runs, cluster, active_tasks, lease_seconds
        self.recovered = Recovered()

    @property
    def grace_seconds(self) -> float:
        """The grace period of a worker with an expired lease, in seconds."""
        return GRACE * self.lease_seconds

    def recover_lost(self, own: int | None = None) -> Recovered:
        """Make the runs of lost workers PENDING, and mark runs with an expired lease.

        ``own``: the run with which the caller was started, and which it has not leased yet.
        """
        recovered, by_owner = self.recovered, self._runs_by_owner(RUNNING, own)
        recovered.silent = recovered.starting = recovered.unseen = 0
        now, tasks = server_time(self.runs.database), self._active_tasks(by_owner)
        self._release_ended(
            {owner: by_owner[owner] for owner in by_owner if self._task_active(owner, tasks) is False}, tasks
        )
        for owner, documents in by_owner.items():
            active = self._task_active(owner, tasks)
            if active is False:
                continue
            if active is None and owner.task is not None:
                recovered.unseen += len(documents)
            expired = [document for document in documents if _lease_expired(document, now, starting=active is True)]
            if expired:
                waiting = len(expired) - self._mark_or_release(owner, documents, now)
                recovered.silent += waiting if owner.token else 0
                recovered.starting += 0 if owner.token else waiting
        return recovered

    def recover_killed(self) -> Recovered:
        """Set KILLED runs to PENDING, or to COMPLETED if they have a result.

        SEML reads the queue first and writes the status KILLED later. A run that was completed in between has a result,
        and yet the status KILLED.
        """
        with_result = {"status": KILLED, "result": {"$exists": True}, "claim.token": {"$exists": True}}
        self.recovered.completed += self.runs.update_many(with_result, {"$set": {"status": COMPLETED}}).modified_count
        for owner, documents in self._runs_by_owner(KILLED).items():
            self._release(owner, documents, KILLED, TASK_ENDED)
        return self.recovered

    def recover_requeued(self, leader: Document, token: str) -> Recovered:
        """Make PENDING the runs that workers of the leader's Slurm task held before it was requeued."""
        task = Owner.from_document(leader).task
        for owner, documents in self._runs_by_owner(RUNNING).items():
            if task is not None and owner.task == task and owner.token not in (None, token):
                self._release(owner, documents, RUNNING, "Slurm task was requeued")
        return self.recovered

    def _runs_by_owner(self, status: str, own: int | None = None) -> dict[Owner, list[Document]]:
        by_owner: dict[Owner, list[Document]] = {}
        for document in self.runs.find({"status": status}, {**FIELDS, "suspected": 1}):
            if document["_id"] != own:
                by_owner.setdefault(Owner.from_document(document), []).append(document)
        return by_owner

    def _active_tasks(self, owners: Iterable[Owner]) -> ActiveTasks | None:
        """Slurm's active tasks, queried after the owners were read; None if it is of no use in this cluster."""
        here = any(owner.cluster == self.cluster and owner.task for owner in owners)
        useful = here or recently_killed(self.runs, self.cluster)
        return self.active_tasks() if self.cluster is not None and useful else None

    def _task_active(self, owner: Owner, tasks: ActiveTasks | None) -> bool | None:
        """Whether the owner's Slurm task is active; None if unknown."""
        if tasks is None or owner.task is None or owner.cluster != self.cluster:
            return None
        return owner.task in tasks.tasks

    def _release_ended(self, lost: Mapping[Owner, list[Document]], tasks: ActiveTasks | None) -> None:
        """Release the runs of owners whose Slurm task has ended, and halve the packs of those killed for memory.

        Slurm's queue shows the state of a task for some minutes after its end; its accounting, if there is one, later.
        """
        states = dict(tasks.ended) if tasks else {}
        states |= states_of_ended({owner.task for owner in lost if owner.task} - states.keys())
        for owner, documents in lost.items():
            state = states.get(owner.task) if owner.task else None
            if state == OUT_OF_MEMORY and had_smallest_pack(self.runs, owner.token):
                self._fail(owner, documents, TOO_LARGE)
            else:
                self._release(owner, documents, RUNNING, f"{TASK_ENDED}: {state}" if state else TASK_ENDED)
        killed = {task for task, state in states.items() if state == OUT_OF_MEMORY}
        self.recovered.limits += halve_packs(self.runs, killed_in_tasks(self.runs, self.cluster, killed))

    def _fail(self, owner: Owner, documents: Collection[Document], reason: str) -> None:
        """Set runs of an owner to FAILED: their next worker would be killed as well."""
        end = {"status": FAILED, "stop_time": "$$NOW", "fail_trace": [reason]}
        self.recovered.failed += self.runs.update_many(
            {"status": RUNNING, **owner.runs}, [{"$set": end}]
        ).modified_count
        record_attempts(self.runs, (Attempt(one["_id"], history.FAILED, reason) for one in documents), documents)
        record_lost_workers(self.runs, [owner.token] if owner.token else [], TASK_ENDED)

    def _mark_or_release(self, owner: Owner, documents: list[Document], now: datetime.datetime) -> int:
        """Mark the runs of an owner whose lease has expired, and release those marked before the grace period.

        Return the number of the released runs.
        """
        grace = self.grace_seconds if owner.token else self.lease_seconds
        latest_mark = now - datetime.timedelta(seconds=grace)
        reason = f"no heartbeat from {owner.host}" if owner.token else "worker never started"
        released = self._release(owner, documents, RUNNING, reason, suspected={"$lt": latest_mark})
        unmarked = {"status": RUNNING, **owner.runs, "suspected": {"$exists": False}}
        ends = [{"claim.lease": {"$lt": now}}, {"claim.lease": {"$gt": _latest_end(documents[0], now)}}]
        expired = {"$or": ends} if owner.token else {}
        self.runs.update_many({**unmarked, **expired}, [{"$set": {"suspected": "$$NOW"}}])
        return released

    def _release(
        self, owner: Owner, documents: Collection[Document], status: str, reason: str, **conditions: Document
    ) -> int:
        """Make runs PENDING that the owner still holds, and write the reason to the history; return their number."""
        update = release_update(owner.token)
        count = self.runs.update_many({"status": status, **owner.runs, **conditions}, update).modified_count
        if count:
            still_owned = {"status": {"$in": [RUNNING, COMPLETED, FAILED]}, **owner.runs}
            remaining = {document["_id"] for document in self.runs.find(still_owned, {"_id": 1})}
            released = [document for document in documents if document["_id"] not in remaining]
            record_attempts(self.runs, (Attempt(document["_id"], LOST, reason) for document in released), released)
            record_lost_workers(self.runs, [owner.token] if owner.token else [], reason)
            self.recovered.returned[reason] += count
        return count


def _lease_expired(document: Document, now: datetime.datetime, *, starting: bool) -> bool:
    """Whether a run's lease has expired. A run without a lease counts as expired unless its Slurm task is active.

    ``starting``: the task is active, so its worker may still lease the run.
    """
    lease = document.get("claim", {}).get("lease")
    return not starting if lease is None else not now <= lease <= _latest_end(document, now)


def _latest_end(document: Document, now: datetime.datetime) -> datetime.datetime:
    """The end of the latest lease that the worker of a run can have: one that it has just renewed."""
    seconds = document.get("claim", {}).get("lease_seconds")
    return datetime.datetime.max if seconds is None else now + datetime.timedelta(seconds=seconds + 1)
