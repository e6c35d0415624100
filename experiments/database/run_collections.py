"""Collections of runs in SEML's database, and counts of their runs by status."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Sequence

from pymongo.database import Database
from pymongo.errors import OperationFailure, PyMongoError

from experiments.database.connection import DatabaseError, Document, Runs, configuration, connect_to
from experiments.database.run_status import COMPLETED
from experiments.errors import UserError

OTHER_COLLECTIONS = ("fs.", "system.", "walking_noise.")
"""Name prefixes of collections without runs: SEML's source files, MongoDB's own collections, our history."""

WORKERS, ATTEMPTS = "walking_noise.workers", "walking_noise.attempts"
"""The collections of the history (:mod:`experiments.worker.records.history`)."""

STUDIES = "walking_noise.studies"
"""The collection of what workers share about a study (:mod:`experiments.worker.records.study_record`)."""

BUSY_MS = 120_000
"""Timeout of a connection. A single query can keep the embedded database busy for this long if there are many runs."""


@contextlib.contextmanager
def open_database(names: Sequence[str]) -> Iterator[Database[Document]]:
    """Connect to SEML's database for the length of a ``with`` block; ``names`` must be collections of it.

    A failure of the database within the block becomes a :class:`DatabaseError`.
    """
    database = connect_to(configuration(), connectTimeoutMS=BUSY_MS)
    try:
        existing = sorted(name for name in database.list_collection_names() if not name.startswith(OTHER_COLLECTIONS))
        for name in names:
            if name not in existing:
                raise UserError(f"there is no collection {name!r}; there are: {', '.join(existing) or 'none'}")
        yield database
    except OperationFailure as refusal:
        reason = (refusal.details or {}).get("codeName", f"error {refusal.code}")
        raise DatabaseError(
            f"the database refused a command ({reason}); `walking-noise doctor` shows what is missing"
        ) from None
    except PyMongoError as error:
        raise DatabaseError(f"the database stopped answering: {type(error).__name__}; try again later") from None
    finally:
        database.client.close()


def seml_collections(database: Database[Document]) -> list[str]:
    """The names of all collections whose documents were written by SEML."""
    return [
        name
        for name in sorted(database.list_collection_names())
        if not name.startswith(OTHER_COLLECTIONS) and database[name].find_one({"seml": {"$exists": True}}, {"_id": 1})
    ]


def unfinished_filter() -> Document:
    """The filter of runs without a result. It lists their statuses, so that the database can use an index."""
    from seml.settings import SETTINGS

    statuses = [status for group in SETTINGS.STATES.values() for status in group]
    return {"status": {"$in": [status for status in statuses if status != COMPLETED]}}


def status_counts(runs: Runs) -> Counter[str]:
    """The number of runs by status.

    Completed runs, usually the most, are not scanned: their number is the collection's size minus the other counts.
    """
    groups = runs.aggregate([{"$match": unfinished_filter()}, {"$group": {"_id": "$status", "count": {"$sum": 1}}}])
    counted = Counter({group["_id"]: group["count"] for group in groups})
    counted[COMPLETED] = max(runs.estimated_document_count() - counted.total(), 0)
    return counted
