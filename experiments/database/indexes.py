"""The indexes without which a database of many runs is slow.

SEML makes one, on config_hash: every other question that it or we ask reads all documents of a collection. MongoDB
finds a run to claim, by a list of ids and a status, by these; secantusdb takes the first of a filter's fields that an
index begins with, which for a claim is the list of ids, and is not helped.
"""

from __future__ import annotations

from dataclasses import dataclass

from pymongo.database import Database

from experiments.database.connection import Document
from experiments.database.run_collections import ATTEMPTS, WORKERS


@dataclass(frozen=True)
class Index:
    """An ascending index: the fields, in order, and the queries that it serves."""

    fields: tuple[str, ...]
    serves: str

    @property
    def keys(self) -> list[tuple[str, int]]:
        return [(field, 1) for field in self.fields]

    def __str__(self) -> str:
        return f"({', '.join(self.fields)})"


RUN_INDEXES = (
    Index(
        ("status", "batch_id", "_id"),
        "SEML's claim (ids, PENDING); a worker's companions (status, batch, in the order of ids); the lost runs among "
        "those RUNNING; every count by status",
    ),
    Index(
        ("claim.token", "status", "_id"),
        "a worker's heartbeat and its outcomes (its token, RUNNING, a range of ids)",
    ),
)
HISTORY_INDEXES = {
    WORKERS: (Index(("collection",), "the GPU hours of a study"),),
    ATTEMPTS: (Index(("collection", "run"), "the failures of a study, and of a run"),),
}


def missing_indexes(database: Database[Document], collection: str) -> dict[str, list[Index]]:
    """The indexes that are not there, of a collection of runs and of the history, by collection."""
    wanted = {collection: RUN_INDEXES, **HISTORY_INDEXES}
    return {name: lacking for name, indexes in wanted.items() if (lacking := _lacking(database, name, indexes))}


def ensure_indexes(database: Database[Document], collection: str) -> dict[str, list[Index]]:
    """Make what is missing for a collection of runs and the history, and return it, by collection."""
    missing = missing_indexes(database, collection)
    for name, indexes in missing.items():
        for index in indexes:
            database[name].create_index(index.keys)
    return missing


def _lacking(database: Database[Document], name: str, indexes: tuple[Index, ...]) -> list[Index]:
    there = [[tuple(pair) for pair in index["key"]] for index in database[name].index_information().values()]
    return [index for index in indexes if index.keys not in there]
