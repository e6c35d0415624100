"""Delivery of a worker's outcomes and heartbeats to the database, in a background thread.

The training never waits for the database. While the database is unreachable, the outcomes of runs are written to the
spool on disk, and they are delivered when it answers again. Every write matches the worker's token, so it does not
change a run that was cancelled, reset, deleted or taken over by another worker.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Collection
from pathlib import Path
from types import TracebackType
from typing import Any

import pymongo
from pymongo import UpdateMany, UpdateOne
from pymongo.errors import PyMongoError

from experiments.database.connection import Document
from experiments.database.run_status import FAILED
from experiments.worker.delivery.spool import WorkerSpool, recorded_runs
from experiments.worker.leases import Leases
from experiments.worker.records import history
from experiments.worker.records.history import FIELDS, Attempt, WorkerHistory, record_attempts
from experiments.worker.records.run_logs import RunLogs
from experiments.worker.recovery.lost_workers import GRACE

FLUSH_SECONDS = 1.0
"""The longest time that an outcome waits for others, to be written together with them."""
FLUSH_RUNS = 256
"""The largest number of outcomes that are written at once."""
BEAT_SECONDS = 10.0
"""The shortest interval between two heartbeats; for a short lease, a quarter of the lease."""
BEAT_SHARE = 0.02
"""The largest share of the time that heartbeats may take. A slow database therefore gets fewer heartbeats …"""
LONGEST_BEAT = 0.5
"""… but at least one in this share of a lease."""
CALL_SECONDS = 20.0
"""Timeout of the database calls of one step, at most a lease. After it the database counts as unreachable."""
LAST_CALL_SECONDS = 10.0
"""Timeout of the calls at the worker's end, at most a lease. Batch systems allow 30 s or more, and checkpoints may need
most of it."""
JOIN_SECONDS = 2.0
"""The longest time to wait at the end for a thread whose database call hangs."""
LONGEST_PAUSE = 15.0
"""The longest pause between two attempts to reach an unreachable database, in seconds, …"""
LONGEST_PAUSE_PER_LEASE = GRACE / 2
"""… and as a share of a lease: the worker must renew its leases within the grace period after an outage."""

NO_LONGER_HELD = "cancelled, reset, deleted or taken over"
"""The possible reasons why a run no longer carries the worker's token."""

log = logging.getLogger(__name__)


class Delivery:
    """Writer of the documents of a worker's runs. A background thread writes while the ``with`` block runs.

    Parameters
    ----------
    spool
        Folder for outcomes while the database is unreachable; None keeps them in memory only.
    patience
        Seconds for which the database may be unreachable before the delivery gives up.
    recorded
        Called in the thread with the runs whose results are stored in the database.

    Attributes
    ----------
    unfinished
        Ids of the runs without an outcome.
    discarded
        Ids of the runs whose outcome was discarded: they were cancelled, reset, deleted or taken over before.
    gave_up
        Whether the database was unreachable for longer than ``patience``, or the thread failed.
    numbers
        The worker's progress for its history: ``resumed``, ``trained`` and ``kept`` as shares of the training.
    seconds
        Time spent in database calls.
    last_call_seconds
        Timeout of the database calls at the worker's end.
    """

    def __init__(
        self,
        leases: Leases,
        logs: RunLogs,
        ids: Collection[int],
        spool: Path | None,
        patience: float,
        recorded: Callable[[set[int]], None] = lambda runs: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.leases, self.logs, self.patience = leases, logs, patience
        self.recorded, self.clock = recorded, clock
        self.unfinished = set(ids)
        self.discarded: set[int] = set()
        self.gave_up = False
        self.numbers: dict[str, float] = {"resumed": 0.0, "trained": 0.0, "kept": 0.0}
        self.seconds = 0.0
        self._call_seconds, self.last_call_seconds = (
            min(timeout, leases.lease_seconds) for timeout in (CALL_SECONDS, LAST_CALL_SECONDS)
        )
        self._history = WorkerHistory(leases.runs, leases.assignment.token)
        self._counts = {"completed": 0, "failed": 0}
        self._start_fields: Document = {}
        self._queue: dict[int, Document] = {}
        self._queued_since = 0.0
        self._spooled = WorkerSpool(spool, leases.runs.name, leases.assignment.token)
        self._any_left = True
        self._shortest_beat = min(BEAT_SECONDS, leases.lease_seconds / 4)
        self._next_beat = clock() + self._shortest_beat
        self._unreachable_since: float | None = None
        self._longest_pause = min(LONGEST_PAUSE, leases.lease_seconds * LONGEST_PAUSE_PER_LEASE)
        self._pause, self._next_attempt = 0.0, 0.0
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._work, name="delivery", daemon=True)

    def begin(
        self,
        start_fields: Document,
        leader: Document,
        **worker: Any,
    ) -> None:
        """Write the start of the worker to the history, then the start of its runs to their documents.

        ``worker``: see :meth:`experiments.worker.records.history.WorkerHistory.begin`.

        Raise PyMongoError if a write fails.
        """
        self._start_fields = start_fields
        update: Document = {name: {"$literal": value} for name, value in start_fields.items()}
        if self.logs.pattern is not None:
            before, after = ({"$literal": part} for part in self.logs.pattern)
            update["seml.output_file"] = {"$concat": [before, {"$toString": "$_id"}, after]}
        self._history.begin(leader, len(self.unfinished), **worker)
        self.leases.runs.bulk_write([UpdateMany(self.leases.held(self.unfinished), [{"$set": update}])])

    def __enter__(self) -> Delivery:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        self._thread.join(JOIN_SECONDS)
        self._write_to_spool()

    @property
    def needed(self) -> bool:
        """Whether the worker still holds a run to train, according to the last heartbeat; False after giving up."""
        return self._any_left and not self.gave_up

    @property
    def unreachable(self) -> bool:
        """Whether the last attempt to reach the database failed."""
        return self._unreachable_since is not None

    @property
    def queued(self) -> int:
        """The number of outcomes that are not in the database yet."""
        return len(self._queue)

    @property
    def spooled(self) -> int:
        """The number of outcomes in the spool on disk."""
        return len(self._spooled.runs)

    @property
    def unrecorded(self) -> set[int]:
        """Ids of the runs whose outcome is not in the database yet, those without an outcome included."""
        with self._lock:
            return self.unfinished | self._queue.keys()

    def finish(self, run: int, fields: Document) -> None:
        """Queue a run's outcome for the thread to write."""
        with self._lock:
            if not self._queue:
                self._queued_since = self.clock()
            self._queue[run] = fields
            self.unfinished.discard(run)

    def drain(self, stopped: Callable[[], bool]) -> None:
        """Wait until every outcome is in the database, ``stopped()`` is true, or the delivery has given up."""
        self._queued_since = float("-inf")
        while self._queue and self._thread.is_alive() and not self.gave_up and not stopped():
            time.sleep(0.05)

    def end(self, reason: str, returned: int = 0) -> None:
        """Write the worker's end to the history; ``returned`` is the number of runs that it released."""
        with contextlib.suppress(PyMongoError), pymongo.timeout(self.last_call_seconds):
            self._history.update({**self.numbers, **self._counts, "returned": returned}, end=reason)

    def step(self) -> None:
        """Send a heartbeat and write queued outcomes, if they are due."""
        if self.clock() < self._next_attempt:
            return
        started, was_unreachable = self.clock(), self.unreachable
        try:
            with pymongo.timeout(self._call_seconds):
                if was_unreachable or started > self._next_beat:
                    self._beat()
                if self._queue and (started - self._queued_since > FLUSH_SECONDS or len(self._queue) >= FLUSH_RUNS):
                    self._flush()
        except PyMongoError as error:
            self._handle_outage(error)
        else:
            if was_unreachable:
                self._end_outage()
        self.seconds += self.clock() - started

    def _work(self) -> None:
        while not self._ending.wait(0.1):
            try:
                self.step()
            except Exception:
                log.exception("the delivery failed; no further outcome is written to the database")
                self.gave_up = True
                return

    def _beat(self) -> None:
        """Renew the leases, write the worker's numbers to the history, and schedule the next heartbeat."""
        started, runs = self.clock(), self.unrecorded
        renewed = self.leases.renew(runs, trained=self.numbers["trained"]) if runs else 0
        self._any_left = renewed > 0 or not self.unfinished
        self._history.update({**self.numbers, **self._counts})
        pause = min((self.clock() - started) / BEAT_SHARE, self.leases.lease_seconds * LONGEST_BEAT)
        self._next_beat = started + max(self._shortest_beat, pause)

    def _flush(self) -> None:
        """Write queued outcomes to the database; find out which of them it took."""
        with self._lock:
            batch = dict(list(self._queue.items())[:FLUSH_RUNS])
        failed = {run for run, fields in batch.items() if fields["status"] == FAILED}
        if failed:
            held = self.leases.runs.find(self.leases.held(failed), FIELDS)
            record_attempts(self.leases.runs, (_failed_attempt(run, batch[run]) for run in failed), held)
        updates = [UpdateOne(self.leases.held_run(run), {"$set": fields}) for run, fields in batch.items()]
        recorded = set(batch)
        if self.leases.runs.bulk_write(updates, ordered=False).matched_count < len(batch):
            token = self.leases.assignment.token
            recorded = set(recorded_runs(self.leases.runs.database, self.leases.runs.name, token, batch))
        with self._lock:
            for run in batch:
                del self._queue[run]
        self._counts["completed"] += len(recorded - failed)
        self._counts["failed"] += len(recorded & failed)
        self._spooled.remove(set(batch))
        self.recorded(recorded - failed)
        if recorded < set(batch):
            self._discard(set(batch) - recorded)

    def _discard(self, runs: set[int]) -> None:
        self.discarded |= runs
        self.logs.write(runs, f"result discarded: the run was {NO_LONGER_HELD}")
        log.warning("results discarded, because the runs were %s: %s", NO_LONGER_HELD, sorted(runs))

    def _handle_outage(self, error: PyMongoError) -> None:
        """Spool the queued outcomes, and schedule the next attempt or give up."""
        if self._unreachable_since is None:
            self._unreachable_since, self._pause = self.clock(), 0.5
            log.warning("the database is unreachable, training continues: %s", str(error).split(",")[0])
        self._write_to_spool()
        self._pause = min(2 * self._pause, self._longest_pause)
        self._next_attempt = self.clock() + self._pause
        if self.clock() - self._unreachable_since > self.patience:
            self.gave_up = True

    def _end_outage(self) -> None:
        assert self._unreachable_since is not None
        log.warning("the database is reachable again after %.0f s", self.clock() - self._unreachable_since)
        self._unreachable_since = None

    def _write_to_spool(self) -> None:
        on_disk = self._spooled.runs
        with self._lock:
            new = {run: fields for run, fields in self._queue.items() if run not in on_disk}
        if new:
            self._spooled.add(self._start_fields, new)


def _failed_attempt(run: int, fields: Document) -> Attempt:
    trace = tuple(line.rstrip("\n") for line in fields["fail_trace"])
    return Attempt(run, history.FAILED, trace[-1] if trace else "", trace)
