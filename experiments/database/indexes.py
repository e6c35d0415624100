"""Indexes of the collections of runs and of the history. Without them a database of many runs is slow.

SEML creates one index, on ``config_hash``. Every other query of SEML or of this package would read all documents of a
collection. MongoDB also uses these indexes when SEML claims a run, by a query for a list of ids and a status.
secantusdb uses an index for only one field of a query: the first one that is also the first field of an index. In the
query that claims a run, that field is the id, so the indexes do not make this query faster in secantusdb.
"""

from __future__ import annotations

from pymongo.database import Database

from experiments.database.connection import Document
from experiments.database.run_collections import ATTEMPTS, WORKERS

Index = tuple[str, ...]
"""An ascending index: its fields in order."""

RUN_INDEXES: tuple[Index, ...] = (
    # SEML's claim of a run (ids, PENDING); companions of a worker's run (status, batch, sorted by id); lost runs
    # (RUNNING); counts by status
    ("status", "batch_id", "_id"),
    # a worker's heartbeats and outcomes (its token, RUNNING, a range of ids)
    ("claim.token", "status", "_id"),
)
HISTORY_INDEXES: dict[str, tuple[Index, ...]] = {
    WORKERS: (("collection",),),  # the GPU hours of a study
    ATTEMPTS: (("collection", "run"),),  # the failures of a study and of a run
}


def missing_indexes(database: Database[Document], collection: str) -> dict[str, list[Index]]:
    """The missing indexes of a collection of runs and of the history, by collection."""
    wanted = {collection: RUN_INDEXES, **HISTORY_INDEXES}
    return {name: lacking for name, indexes in wanted.items() if (lacking := _lacking(database, name, indexes))}


def ensure_indexes(database: Database[Document], collection: str) -> dict[str, list[Index]]:
    """Create the missing indexes of a collection of runs and of the history; return them by collection."""
    missing = missing_indexes(database, collection)
    for name, indexes in missing.items():
        for index in indexes:
            database[name].create_index(list(index))
    return missing


def _lacking(database: Database[Document], name: str, indexes: tuple[Index, ...]) -> list[Index]:
    existing = [[tuple(pair) for pair in index["key"]] for index in database[name].index_information().values()]
    return [index for index in indexes if [(field, 1) for field in index] not in existing]
