"""One Sacred document per run, as seml and omniboard expect it.

The layout is that of :class:`sacred.observers.MongoObserver`, whose own writes suit a process of one run: they
store the whole document, resurrect a cancelled run and recreate a deleted one. Here only what changes is written,
only to runs that are still this worker's, and for many runs at once.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from pymongo import UpdateMany, UpdateOne
from pymongo.errors import ConnectionFailure, PyMongoError
from pymongo.results import BulkWriteResult
from sacred.observers import MongoObserver

from experiments.claims import COMPLETED, FAILED, Claims
from experiments.database import now
from experiments.logs import RunLogs
from walking_noise import Failure, Result

BEAT_SECONDS = 10.0
"""Two heartbeats are at least so far apart."""
BEAT_SHARE = 0.02
"""Heartbeats take no more than this share of the time."""
HOLD_SECONDS = 1.0
"""A finished run waits no longer than this for others, to be written with them."""
HOLD_RUNS = 256
"""When so many finished runs wait, they are written at once."""
PAUSES = (1, 2, 4, 8, 15, 30, 60)
"""Writing to a database that is away is tried again after each of these pauses, in seconds."""

log = logging.getLogger(__name__)


class Records:
    """The documents of the runs that a worker has claimed.

    Attributes
    ----------
    unfinished
        Ids of the runs without an outcome.
    lost
        Ids of the runs that were cancelled, reset or deleted before their outcome could be written.
    trained
        Share of the pack's training that is done; goes with the heartbeat.
    seconds
        Time spent on the database.
    """

    def __init__(self, claims: Claims, logs: RunLogs, ids: Collection[int], commit: str | None) -> None:
        self.claims, self.logs = claims, logs
        self.unfinished = set(ids)
        self.lost: set[int] = set()
        self.trained = 0.0
        self.seconds = 0.0
        self._commit = commit
        self._held: dict[int, dict[str, Any]] = {}
        self._held_since = 0.0
        self._next_beat = time.monotonic() + BEAT_SECONDS

    def start(self, experiment: Mapping[str, Any], host: Mapping[str, Any], command: str) -> None:
        """Say of all runs that they have begun.

        ``experiment`` and ``host`` are Sacred's descriptions of them. The sources stay where SEML keeps them, in
        ``seml.source_files``: if they were repeated here, ``seml delete`` of one run would delete those of its batch.
        """
        begun = {
            "experiment": {**experiment, "sources": []},
            "format": MongoObserver.VERSION,
            "command": command,
            "host": dict(host),
            "start_time": now(),
            "meta": {"command": command},
            "resources": [],
            "artifacts": [],
            "captured_out": "",
            "info": {},
            "heartbeat": now(),
        }
        update: dict[str, Any] = {name: {"$literal": value} for name, value in begun.items()}
        if self.logs.pattern is not None:
            before, after = ({"$literal": part} for part in self.logs.pattern)
            update["seml.output_file"] = {"$concat": [before, {"$toString": "$_id"}, after]}
        self._write([UpdateMany(self.claims.held(self.unfinished), [{"$set": update}])])

    def finish(self, run: int, outcome: Result | Failure) -> None:
        """Record a run's outcome, at the latest when :meth:`poll` is called again after :data:`HOLD_SECONDS`."""
        if isinstance(outcome, Result):
            result = outcome.to_document()
            if self._commit:
                result["provenance"] = {**result["provenance"], "commit": self._commit}
            fields = {"status": COMPLETED, "result": result}
        else:
            trace = outcome.trace or outcome.error
            fields = {"status": FAILED, "fail_trace": [f"{line}\n" for line in trace.splitlines()]}
        if not self._held:
            self._held_since = time.monotonic()
        self._held[run] = {**fields, "stop_time": now(), "heartbeat": now()}
        self.unfinished.discard(run)
        if len(self._held) >= HOLD_RUNS:
            self.flush()

    def poll(self) -> bool:
        """Write what is due; return whether any run is left to be trained for."""
        if self._held and time.monotonic() - self._held_since > HOLD_SECONDS:
            self.flush()
        return self._beat() if time.monotonic() > self._next_beat else True

    def flush(self) -> None:
        """Write the outcomes that are held back.

        Raises
        ------
        PyMongoError
            The database did not come back within two minutes.
        """
        if not self._held:
            return
        held, self._held = self._held, {}
        updates = [UpdateOne(self.claims.held_run(run), {"$set": fields}) for run, fields in held.items()]
        try:
            complete = self._write(updates).matched_count == len(held)
        except PyMongoError:
            self._held = held | self._held
            raise
        if not complete:
            self._find_lost(held)

    def _find_lost(self, ids: Collection[int]) -> None:
        mine = {"_id": {"$in": list(ids)}, "claim.token": self.claims.assignment.token}
        written = {**mine, "status": {"$in": [COMPLETED, FAILED]}}
        lost = set(ids) - {document["_id"] for document in self.claims.runs.find(written, {"_id": 1})}
        self.lost |= lost
        self.logs.write(lost, "not recorded: the run was cancelled, reset or deleted meanwhile")
        log.warning("not recorded, as they were cancelled, reset or deleted meanwhile: runs %s", sorted(lost))

    def _beat(self) -> bool:
        started = time.monotonic()
        beat = {"$set": {"heartbeat": now(), "info.trained": self.trained}}
        try:
            alive = self.claims.runs.update_many(self.claims.held(self.unfinished), beat).matched_count
            return alive > 0 or not self.unfinished
        except PyMongoError as error:
            log.warning("no heartbeat: %s", error)
            return True
        finally:
            took = time.monotonic() - started
            self._next_beat = started + max(BEAT_SECONDS, took / BEAT_SHARE)
            self.seconds += took

    def _write(self, updates: Sequence[UpdateOne | UpdateMany]) -> BulkWriteResult:
        started = time.monotonic()
        try:
            for pause in PAUSES:
                try:
                    return self.claims.runs.bulk_write(updates, ordered=False)
                except ConnectionFailure as error:
                    log.warning("the database is away (%s); the next attempt in %d s", error, pause)
                    time.sleep(pause)
            return self.claims.runs.bulk_write(updates, ordered=False)
        finally:
            self.seconds += time.monotonic() - started
