"""Connection to the database in SEML's configuration."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import OperationFailure, PyMongoError
from yaml import YAMLError

from experiments.database.collection_names import check_name
from experiments.errors import UserError

Document = dict[str, Any]
Runs = Collection[Document]
"""The type of a SEML collection: one document per run."""

MAX_IDLE_MS = 240_000
"""A connection that is idle for longer is replaced. The embedded database closes it after 300 s without a word, and
firewalls may do so, too; the next write on it would fail."""


class DatabaseError(UserError):
    """No database is configured, or it does not answer or rejects the connection."""


def connect() -> Database[Document]:
    """Connect to the database in SEML's configuration: see :func:`configuration` and :func:`connect_to`."""
    return connect_to(configuration())


def configuration(file: Path | None = None) -> dict[str, Any]:
    """Read the database section of SEML's configuration file or of ``file``; :class:`DatabaseError` without one."""
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
    """Connect to the database of a configuration and wait for its first answer. ``options`` are those of pymongo.

    Raise :class:`DatabaseError` if the configuration is invalid or the database does not answer. The message repeats
    only host and port of the configuration, because the rest may be secret.
    """
    from seml.database import get_database

    try:
        database: Database[Document] = get_database(**configuration, **{"maxIdleTimeMS": MAX_IDLE_MS, **options})
    except (PyMongoError, ValueError, TypeError, OSError) as error:
        reason = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else type(error).__name__
        raise DatabaseError(
            f"SEML's configuration cannot be used ({reason}); set host to a machine's name or to "
            "mongodb://NAME/?tls=true&tlsCAFile=FILE, and port to a number"
        ) from None
    address = host_and_port(database)
    try:
        database.list_collection_names(filter={"name": "any"})
    except OperationFailure as refusal:
        database.client.close()
        reason = (refusal.details or {}).get("errmsg") or f"error {refusal.code}"
        raise DatabaseError(
            f"the database at {address} refuses SEML's configuration: {reason}; set the right user and password with "
            "`seml configure`"
        ) from None
    except PyMongoError as error:
        database.client.close()
        if "SSL" in str(error):
            raise DatabaseError(
                f"the database at {address} answers, but no trusted TLS connection could be made to it; give the file "
                "of its CA certificate in SEML's configuration: host: mongodb://NAME/?tls=true&tlsCAFile=FILE"
            ) from None
        raise DatabaseError(
            f"no database answers at {address}, the address in SEML's configuration; start it (the embedded one with "
            "`walking-noise db start`), or run `seml configure`"
        ) from None
    return database


def host_and_port(database: Database[Document]) -> str:
    """``host:port`` of a database's server; a comma-separated list for a replica set."""
    servers = database.client.topology_description.server_descriptions()
    return ", ".join(f"{host}:{port}" for host, port in sorted(servers))


@contextlib.contextmanager
def open_runs(collection: str) -> Iterator[Runs]:
    """Connect to the database for the length of a ``with`` block; yield the named collection, which need not exist.

    Raise :class:`UserError` if a collection of runs cannot have this name.
    """
    check_name(collection)
    database = connect()
    with database.client:
        yield database[collection]


def server_time(database: Database[Document]) -> datetime.datetime:
    """The current time of the database server's clock. Leases are measured by this clock."""
    local_time: datetime.datetime = database.command("hello")["localTime"]
    return local_time


def now() -> datetime.datetime:
    """The current time of this machine, in UTC, as documents store it."""
    return datetime.datetime.now(datetime.UTC)
