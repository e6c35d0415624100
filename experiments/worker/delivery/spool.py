"""Spool: results that are kept on disk while the database is unreachable.

A file of the spool holds results of one worker. It is written atomically, and removed when its results are in the
database. A result is written to its run if the run still carries the worker's token, or if the run was taken from that
worker and no other worker has leased it since. Otherwise the run was reset, repeated or deleted: its document stays as
it is, and the result is dropped. If the history of the database does not contain the worker, its results stay on disk:
they may belong to another database.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bson import json_util
from pymongo import UpdateOne
from pymongo.database import Database

from experiments.database.connection import Document
from experiments.database.run_collections import WORKERS
from experiments.database.run_status import COMPLETED, FAILED, KILLED, PENDING, RUNNING
from experiments.errors import UserError
from experiments.terminal.text_table import are_in_words
from experiments.worker.leases import UNCLAIMED
from walking_noise.atomic_file import atomic_write

JSON_OPTIONS = json_util.JSONOptions(tz_aware=False)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SpooledResults:
    """Results of one worker, the content of one file; see :mod:`experiments.worker.records.run_document`."""

    collection: str
    token: str
    begun: Document  # the fields of a run's start
    outcomes: Mapping[int, Document]  # the fields of each run's end, by run id

    @classmethod
    def read(cls, file: Path) -> SpooledResults:
        """Read results from a file."""
        try:
            content = json_util.loads(file.read_text(), json_options=JSON_OPTIONS)
            outcomes = {int(run): fields for run, fields in content["outcomes"].items()}
            return cls(content["collection"], content["token"], content["begun"], outcomes)
        except OSError as error:
            raise UserError(f"{file}: {error.strerror}") from None
        except (ValueError, TypeError, KeyError, AttributeError):
            raise UserError(f"{file}: holds no results; the file is left unchanged") from None

    def write(self, file: Path) -> None:
        """Write the results to a file, atomically."""
        file.parent.mkdir(parents=True, exist_ok=True)
        outcomes = {str(run): fields for run, fields in self.outcomes.items()}
        with atomic_write(file) as part:
            part.write(json_util.dumps(vars(self) | {"outcomes": outcomes}).encode())

    def deliver(self, database: Database[Document]) -> set[int]:
        """Write the results to the documents of their runs; return the ids of the runs that have their result now."""
        runs = database[self.collection]
        claim = {"token": self.token}
        updates = []
        for run, fields in self.outcomes.items():
            held = {"_id": run, "claim.token": self.token, "status": {"$in": [RUNNING, KILLED]}}
            released = {"_id": run, "returned_by": self.token, "status": {"$in": [PENDING, RUNNING]}, **UNCLAIMED}
            updates.append(UpdateOne(held, {"$set": fields}))
            updates.append(UpdateOne(released, {"$set": {**self.begun, "claim": claim, **fields}}))
        if updates:
            runs.bulk_write(updates, ordered=False)
        return set(recorded_runs(database, self.collection, self.token, self.outcomes))


def recorded_runs(database: Database[Document], collection: str, token: str, runs: Iterable[int]) -> Iterator[int]:
    """The ids among ``runs`` whose outcome in the database was written by the worker with ``token``."""
    recorded = {"_id": {"$in": list(runs)}, "claim.token": token, "status": {"$in": [COMPLETED, FAILED]}}
    return (document["_id"] for document in database[collection].find(recorded, {"_id": 1}))


@dataclass
class DeliveryCounts:
    """Counts of results that a delivery of the spool has handled, and errors."""

    delivered: int = 0  # now in the database
    outdated: int = 0  # dropped, because their runs were reset, repeated or deleted
    foreign: int = 0  # of workers that this database does not know; they stay on disk
    faults: list[str] = field(default_factory=list)  # error messages about files


def spooled_files(folder: Path) -> list[Path]:
    """The files with results in a spool, sorted by name."""
    return sorted(folder.glob("*.json"))


def deliver_spool(folder: Path, database: Database[Document], collection: str | None = None) -> DeliveryCounts:
    """Deliver the results of all files in a spool, or of one collection, and remove the files."""
    counts = DeliveryCounts()
    for file in spooled_files(folder):
        try:
            results = SpooledResults.read(file)
        except UserError as error:
            if file.exists():  # otherwise another worker has delivered it
                counts.faults.append(str(error))
            continue
        if collection not in (None, results.collection):
            continue
        if database[WORKERS].find_one({"_id": results.token}, {"_id": 1}) is None:
            counts.foreign += len(results.outcomes)
            continue
        delivered = results.deliver(database)
        counts.delivered += len(delivered)
        counts.outdated += len(results.outcomes) - len(delivered)
        try:
            file.unlink(missing_ok=True)
        except OSError as error:
            counts.faults.append(f"{file}: was delivered, but cannot be removed: {error.strerror}")
    return counts


class WorkerSpool:
    """The files of one worker in a spool, which several workers may share; nothing is written without a ``folder``."""

    def __init__(self, folder: Path | None, collection: str, token: str) -> None:
        self._folder, self._collection, self._token = folder, collection, token
        self._numbers = itertools.count()
        self._files: dict[Path, set[int]] = {}

    @property
    def runs(self) -> set[int]:
        """Ids of the runs whose outcomes are on disk."""
        return set().union(*self._files.values())

    def add(self, start_fields: Document, outcomes: Mapping[int, Document]) -> None:
        """Write outcomes to a new file. If that fails, an error is logged, and they remain in memory only."""
        if self._folder is None:
            return
        file = self._folder / f"{self._token}-{next(self._numbers)}.json"
        try:
            SpooledResults(self._collection, self._token, start_fields, outcomes).write(file)
        except OSError as error:
            results = are_in_words(len(outcomes), "result")
            log.error("%s in memory only; cannot write to %s: %s", results, self._folder, error.strerror)
        else:
            self._files[file] = set(outcomes)
            log.warning("%s saved in %s", are_in_words(len(outcomes), "result"), file)

    def remove(self, delivered: set[int]) -> None:
        """Remove the files whose runs are all delivered."""
        for file, runs in list(self._files.items()):
            runs -= delivered
            if not runs:
                file.unlink(missing_ok=True)
                del self._files[file]
