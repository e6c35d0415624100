"""The collections of runs in SEML's database."""

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
"""So begin the names of the collections in which SEML keeps sources, MongoDB itself, and we our history."""

WORKERS, ATTEMPTS = "walking_noise.workers", "walking_noise.attempts"
"""The collections of the history, see :mod:`experiments.worker.records.history`."""

BUSY_MS = 120_000
"""A database that answers may be busy with one question for so long: the embedded one is, with many runs."""


@contextlib.contextmanager
def open_database(names: Sequence[str]) -> Iterator[Database[Document]]:
    """The database that SEML is configured with, once it is clear that it has these collections.

    Raises
    ------
    UserError
        There is no such collection, or no database, or it fails before the block ends.
    """
    database = connect_to(configuration(), connectTimeoutMS=BUSY_MS)
    try:
        there = sorted(name for name in database.list_collection_names() if not name.startswith(OTHER_COLLECTIONS))
        for name in names:
            if name not in there:
                raise UserError(f"there is no collection {name!r}; there are: {', '.join(there) or 'none'}")
        yield database
    except OperationFailure as refusal:
        reason = (refusal.details or {}).get("codeName", f"error {refusal.code}")
        raise DatabaseError(f"the database refuses: {reason}; `walking-noise doctor` says what is missing") from None
    except PyMongoError as error:
        raise DatabaseError(f"the database went away: {type(error).__name__}; try again when it is back") from None
    finally:
        database.client.close()


def seml_collections(database: Database[Document]) -> list[str]:
    """The names of all collections whose documents SEML has made."""
    return [
        name
        for name in sorted(database.list_collection_names())
        if not name.startswith(OTHER_COLLECTIONS) and database[name].find_one({"seml": {"$exists": True}}, {"_id": 1})
    ]


def unfinished_filter() -> Document:
    """The filter of the runs without a result; it names their statuses, so that an index serves it."""
    from seml.settings import SETTINGS

    statuses = [status for group in SETTINGS.STATES.values() for status in group]
    return {"status": {"$in": [status for status in statuses if status != COMPLETED]}}


def status_counts(runs: Runs) -> Counter[str]:
    """The number of runs by status. Completed ones, which become the most, are not looked at."""
    groups = runs.aggregate([{"$match": unfinished_filter()}, {"$group": {"_id": "$status", "count": {"$sum": 1}}}])
    counted = Counter({group["_id"]: group["count"] for group in groups})
    counted[COMPLETED] = max(runs.estimated_document_count() - counted.total(), 0)
    return counted
