"""The database that SEML is configured with."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import InvalidName, OperationFailure, PyMongoError
from yaml import YAMLError

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
    return connect_to(configuration())


def configuration(file: Path | None = None) -> dict[str, Any]:
    """What SEML's configuration says of its database; ``file``: in the place of the one that SEML reads.

    Raises
    ------
    DatabaseError
        There is none, or SEML cannot read it.
    """
    from seml.database import get_mongodb_config
    from seml.settings import SETTINGS

    try:
        return dict(get_mongodb_config(file or SETTINGS.DATABASE.MONGODB_CONFIG_PATH))
    except SystemExit as refusal:
        reason = str(refusal).split("\n")[0].removeprefix("MONGODB ERROR: ")
    except (OSError, YAMLError, TypeError) as error:
        reason = f"SEML's configuration cannot be read ({type(error).__name__})."
    raise DatabaseError(
        f'no database: {reason} Run `seml configure`, or `walking-noise db start` and `eval "$(walking-noise db env)"`'
    )


def connect_to(configuration: Mapping[str, Any], **options: Any) -> Database[Document]:
    """The database that a configuration names, once it has answered; ``options`` are the driver's.

    Nothing of the configuration but host and port is repeated in errors: the rest may be secret.

    Raises
    ------
    DatabaseError
        The configuration cannot be used, or the database does not answer or refuses.
    """
    from seml.database import get_database

    try:
        database: Database[Document] = get_database(**configuration, **options)
    except (PyMongoError, ValueError, TypeError, OSError) as error:
        why = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else type(error).__name__
        raise DatabaseError(
            f"SEML's configuration cannot be used ({why}); host is the name of a machine, or "
            "mongodb://NAME/?tls=true&tlsCAFile=FILE, and port a number"
        ) from None
    place = host_and_port(database)
    try:
        database.list_collection_names(filter={"name": "any"})
    except OperationFailure as refusal:
        database.client.close()
        reason = (refusal.details or {}).get("errmsg") or f"error {refusal.code}"
        raise DatabaseError(
            f"the database at {place} refuses SEML's configuration: {reason}; give SEML the right user and password "
            "with `seml configure`"
        ) from None
    except PyMongoError as error:
        database.client.close()
        raise DatabaseError(_no_answer(place, str(error))) from None
    return database


def host_and_port(database: Database[Document]) -> str:
    """Host and port of a database; several of a replica set."""
    servers = database.client.topology_description.server_descriptions()
    return ", ".join(f"{host}:{port}" for host, port in sorted(servers))


def _no_answer(place: str, error: str) -> str:
    if "SSL" in error:
        return (
            f"the database at {place} answers, but no trusted connection could be made to it; name the certificate of "
            "its authority in SEML's configuration: host: mongodb://NAME/?tls=true&tlsCAFile=FILE"
        )
    return (
        f"no database answers at {place}, where SEML's configuration says it is; start it "
        "(`walking-noise db start`, if it is the embedded one), or run `seml configure`"
    )


def collection_runs(collection: str) -> Runs:
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


def server_time(database: Database[Document]) -> datetime.datetime:
    """The present time by the database's own clock, by which leases are measured."""
    said: datetime.datetime = database.command("hello")["localTime"]
    return said


def now() -> datetime.datetime:
    """The present time, as documents hold it."""
    return datetime.datetime.now(datetime.UTC)
