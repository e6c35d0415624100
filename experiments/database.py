"""The database that SEML is configured with."""

from __future__ import annotations

import datetime
from typing import Any

from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import InvalidName, OperationFailure, PyMongoError

from experiments.errors import UserError

Document = dict[str, Any]
Runs = Collection[Document]
"""The type of a collection of runs, as SEML makes it."""


class DatabaseError(UserError):
    """There is no database, or it does not answer."""


def connect() -> Database[Document]:
    """The database of SEML's configuration, once it has answered.

    Raises
    ------
    DatabaseError
        SEML is not configured, or the database does not answer or does not accept the configuration.
    """
    from seml.database import get_database, get_mongodb_config

    try:
        config = get_mongodb_config()
    except SystemExit as refusal:
        reason = str(refusal).split("\n")[0].removeprefix("MONGODB ERROR: ")
        raise DatabaseError(
            f"no database: {reason} Run `seml configure`, or `walking-noise db start` and "
            '`eval "$(walking-noise db env)"`'
        ) from None
    place = f"{config['host']}:{config['port']}"
    database: Database[Document] = get_database(**config)
    try:
        database.list_collection_names(filter={"name": "any"})
    except OperationFailure as refusal:
        raise DatabaseError(f"the database at {place} refuses SEML's configuration: {refusal.details}") from None
    except PyMongoError:
        raise DatabaseError(
            f"no database answers at {place}, where SEML's configuration says it is; start it "
            "(`walking-noise db start`, if it is the embedded one), or run `seml configure`"
        ) from None
    return database


def runs_in(collection: str) -> Runs:
    """The runs of a collection that a user has named.

    Raises
    ------
    UserError
        No collection can have that name, or as :func:`connect`.
    """
    try:
        return connect()[collection]
    except InvalidName as refusal:
        raise UserError(f"{collection!r} is no name of a collection: {refusal}") from None


def now() -> datetime.datetime:
    """The present time, as documents hold it."""
    return datetime.datetime.now(datetime.UTC)
