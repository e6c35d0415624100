"""A worker's line to the database: signs of life and outcomes, from a thread of its own.

The training never waits for the database. While that is away, outcomes are kept on disk; when it is back, they are
delivered. Whatever is written matches the worker's token, so that a run cancelled, reset, deleted or taken over
meanwhile stays as it is.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Collection
from pathlib import Path
from types import TracebackType

import pymongo
from pymongo import UpdateMany, UpdateOne
from pymongo.errors import PyMongoError

from experiments.database.connection import Document
from experiments.database.run_status import FAILED
from experiments.worker.delivery.spool import Spool, SpooledResults, written
from experiments.worker.leases import Leases
from experiments.worker.records import history
from experiments.worker.records.history import FIELDS, Attempt, WorkerHistory, record_attempts
from experiments.worker.records.run_logs import RunLogs
from experiments.worker.recovery.lost_workers import GRACE

BEAT_SECONDS = 10.0
"""Two heartbeats are at least so far apart, if the lease is long enough for that."""
BEATS_PER_LEASE = 4
BEAT_SHARE = 0.02
"""Heartbeats take no more than this share of the time, as long as the lease allows that."""
LONGEST_BEAT = 0.5
"""Two heartbeats are at most this share of a lease apart."""
HOLD_SECONDS = 1.0
"""A finished run waits no longer than this for others, to be written with them."""
HOLD_RUNS = 256
"""Of very many finished runs so many are written at once."""
CALL_SECONDS = 20.0
"""What is due at once is done in this time, or the database counts as away."""
LAST_CALL_SECONDS = 10.0
"""At the end it has so much: batch systems give a job 30 s or more, of which the checkpoints may need the most."""
END_SECONDS = 2.0
"""At the end a call that hangs is waited for so long."""
LONGEST_PAUSE = 15.0
"""While the database is away, it is tried again after pauses of up to this, …"""
LONGEST_PAUSE_PER_LEASE = GRACE / 2
"""… and up to this share of a lease: once it is back, who is silent for the time of grace loses the runs."""

GONE = "cancelled, reset, deleted or taken over"
"""What may have become of a run that is not the worker's any more."""

log = logging.getLogger(__name__)


class Delivery:
    """Keeps the documents of the runs that a worker has claimed; a context in which its thread works.

    Parameters
    ----------
    undelivered
        Where outcomes are kept while the database is away; None: in memory only.
    patience
        Seconds that the database may be away.
    recorded
        Called, in the thread, with the runs whose results are in the database for good.

    Attributes
    ----------
    unfinished
        Ids of the runs without an outcome.
    lost
        Ids of the runs that were cancelled, reset, deleted or taken over before their outcome could be written.
    gave_up
        Whether the database was away for longer than ``patience``.
    numbers
        What the worker's history says of it: ``resumed``, ``trained`` and ``kept``, shares of the training.
    seconds
        Time that the database took.
    """

    def __init__(
        self,
        leases: Leases,
        logs: RunLogs,
        ids: Collection[int],
        spool: Spool | None,
        patience: float,
        recorded: Callable[[set[int]], None] = lambda runs: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.leases, self.logs, self.spool, self.patience = leases, logs, spool, patience
        self.recorded, self.clock = recorded, clock
        self.unfinished = set(ids)
        self.lost: set[int] = set()
        self.gave_up = False
        self.numbers: dict[str, float] = {"resumed": 0.0, "trained": 0.0, "kept": 0.0}
        self.seconds = 0.0
        self._worker = WorkerHistory(leases.runs, leases.assignment.token)
        self._counts = {"completed": 0, "failed": 0}
        self._begun: Document = {}
        self._held: dict[int, Document] = {}
        self._held_since = 0.0
        self._on_disk: dict[Path, set[int]] = {}
        self._any_left = True
        self._beat_seconds = min(BEAT_SECONDS, leases.lease_seconds / BEATS_PER_LEASE)
        self._next_beat = self.clock() + self._beat_seconds
        self._away_since: float | None = None
        self._longest_pause = min(LONGEST_PAUSE, leases.lease_seconds * LONGEST_PAUSE_PER_LEASE)
        self._pause, self._next_attempt = 0.0, 0.0
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._work, name="delivery", daemon=True)

    def begin(self, begun: Document, leader: Document, *, host: str, device: str, gpu: bool, version: str) -> None:
        """Say of the worker, and then of all runs, that they have begun.

        Raises
        ------
        PyMongoError
            The database does not take it.
        """
        self._begun = begun
        update: Document = {name: {"$literal": value} for name, value in begun.items()}
        if self.logs.pattern is not None:
            before, after = ({"$literal": part} for part in self.logs.pattern)
            update["seml.output_file"] = {"$concat": [before, {"$toString": "$_id"}, after]}
        self._worker.begin(leader, len(self.unfinished), host=host, device=device, gpu=gpu, version=version)
        self.leases.runs.bulk_write([UpdateMany(self.leases.held(self.unfinished), [{"$set": update}])])

    def __enter__(self) -> Delivery:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        self._thread.join(END_SECONDS)
        self._keep_on_disk()

    @property
    def needed(self) -> bool:
        """Whether any run is left to be trained for, as far as is known."""
        return self._any_left and not self.gave_up

    @property
    def away(self) -> bool:
        """Whether the database did not answer when last tried."""
        return self._away_since is not None

    @property
    def waiting(self) -> int:
        """The number of outcomes that are not in the database yet."""
        return len(self._held)

    @property
    def unrecorded(self) -> set[int]:
        """Ids of the runs without an outcome in the database, as far as is known."""
        with self._lock:
            return self.unfinished | self._held.keys()

    def finish(self, run: int, fields: Document) -> None:
        """Record a run's outcome, soon."""
        with self._lock:
            if not self._held:
                self._held_since = self.clock()
            self._held[run] = fields
            self.unfinished.discard(run)

    def drain(self, stopped: Callable[[], bool]) -> None:
        """Wait until every outcome is in the database; no longer once ``stopped`` or given up."""
        self._held_since = float("-inf")
        while self._held and self._thread.is_alive() and not self.gave_up and not stopped():
            time.sleep(0.05)

    def end(self, why: str, returned: int = 0) -> None:
        """Note how the worker ended."""
        with contextlib.suppress(PyMongoError), pymongo.timeout(LAST_CALL_SECONDS):
            self._worker.note({**self.numbers, **self._counts, "returned": returned}, end=why)

    def step(self) -> None:
        """Do what is due."""
        if self.clock() < self._next_attempt:
            return
        started, was_away = self.clock(), self.away
        try:
            with pymongo.timeout(CALL_SECONDS):
                if was_away or started > self._next_beat:
                    self._beat()
                if self._held and (started - self._held_since > HOLD_SECONDS or len(self._held) >= HOLD_RUNS):
                    self._flush()
        except PyMongoError as error:
            self._note_away(error)
        else:
            if was_away:
                self._note_back()
        self.seconds += self.clock() - started

    def _work(self) -> None:
        while not self._ending.wait(0.1):
            try:
                self.step()
            except Exception:
                log.exception("nothing more can be recorded")
                self.gave_up = True
                return

    def _beat(self) -> None:
        started = self.clock()
        unrecorded = self.unrecorded
        alive = self.leases.renew(unrecorded, trained=self.numbers["trained"]) if unrecorded else 0
        self._any_left = alive > 0 or not self.unfinished
        self._worker.note({**self.numbers, **self._counts})
        rest = min((self.clock() - started) / BEAT_SHARE, self.leases.lease_seconds * LONGEST_BEAT)
        self._next_beat = started + max(self._beat_seconds, rest)

    def _flush(self) -> None:
        with self._lock:
            held = dict(list(self._held.items())[:HOLD_RUNS])
        failed = {run for run, fields in held.items() if fields["status"] == FAILED}
        if failed:
            claimed = self.leases.runs.find(self.leases.held(failed), FIELDS)
            record_attempts(self.leases.runs, (_attempt(run, held[run]) for run in failed), claimed)
        updates = [UpdateOne(self.leases.held_run(run), {"$set": fields}) for run, fields in held.items()]
        recorded = set(held)
        if self.leases.runs.bulk_write(updates, ordered=False).matched_count < len(held):
            token = self.leases.assignment.token
            recorded = set(written(self.leases.runs.database, self.leases.runs.name, token, held))
        with self._lock:
            for run in held:
                del self._held[run]
        self._counts["completed"] += len(recorded - failed)
        self._counts["failed"] += len(recorded & failed)
        self._forget_on_disk(set(held))
        self.recorded(recorded - failed)
        if recorded < set(held):
            self._note_lost(set(held) - recorded)

    def _note_lost(self, lost: set[int]) -> None:
        self.lost |= lost
        self.logs.write(lost, f"not recorded: the run was {GONE} meanwhile")
        log.warning("not recorded, as they were %s: runs %s", GONE, sorted(lost))

    def _note_away(self, error: PyMongoError) -> None:
        if self._away_since is None:
            self._away_since, self._pause = self.clock(), 0.5
            log.warning("the database is away, training goes on: %s", str(error).split(",")[0])
        self._keep_on_disk()
        self._pause = min(2 * self._pause, self._longest_pause)
        self._next_attempt = self.clock() + self._pause
        if self.clock() - self._away_since > self.patience:
            self.gave_up = True

    def _note_back(self) -> None:
        assert self._away_since is not None
        log.warning("the database is back after %.0f s", self.clock() - self._away_since)
        self._away_since = None

    def _keep_on_disk(self) -> None:
        there = set().union(*self._on_disk.values())
        with self._lock:
            new = {run: fields for run, fields in self._held.items() if run not in there}
        if not new or self.spool is None:
            return
        try:
            token = self.leases.assignment.token
            file = self.spool.add(SpooledResults(self.leases.runs.name, token, self._begun, new))
        except OSError as error:
            log.error("%d results are in memory only: %s: %s", len(new), self.spool.folder, error.strerror)
        else:
            self._on_disk[file] = set(new)
            log.warning("%d results are kept in %s", len(new), file)

    def _forget_on_disk(self, delivered: set[int]) -> None:
        for file, runs in list(self._on_disk.items()):
            runs -= delivered
            if not runs:
                file.unlink(missing_ok=True)
                del self._on_disk[file]

    @property
    def kept_on_disk(self) -> int:
        """The number of outcomes that are on disk, for the database to come back."""
        return sum(map(len, self._on_disk.values()))


def _attempt(run: int, fields: Document) -> Attempt:
    trace = tuple(line.rstrip("\n") for line in fields["fail_trace"])
    return Attempt(run, history.FAILED, trace[-1] if trace else "", trace)
