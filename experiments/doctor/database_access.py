"""Checks of the database: connection, encryption, write access and rights."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from pymongo.errors import OperationFailure, PyMongoError

from experiments.database.connection import DatabaseError, host_and_port
from experiments.doctor.examined_site import Site
from experiments.doctor.finding import Finding, error, ok, warning

TEST_COLLECTION = "walking_noise.trial"
"""Collection into which a test document is written; it is removed again."""
LOOPBACK = ("localhost", "127.", "::1")
EXCESSIVE_ROLES = {
    *("root", "dbAdminAnyDatabase", "userAdminAnyDatabase", "readWriteAnyDatabase", "clusterAdmin", "__system")
}


def answers(site: Site) -> Iterator[Finding]:
    """The database answers and accepts the user of SEML."""
    database = site.connection
    if isinstance(database, DatabaseError):
        problem, _, remedy = str(database).partition("; ")
        yield error(problem, remedy)
        return
    version = database.client.server_info()["version"]
    tls = "with TLS" if _encrypted(str(site.configuration["host"])) else "without TLS"
    yield ok(f"MongoDB {version} answers at {host_and_port(database)}, {tls}, database {database.name}")


def seen_by_nodes(site: Site) -> Iterator[Finding]:
    """The nodes of the cluster can reach the database, and the connection is encrypted."""
    configuration, others = site.configuration, site.other_hosts
    host = str(configuration["host"])
    name = (urlsplit(host).hostname or "") if "://" in host else host
    tunnelled = "ssh_config" in configuration
    if name.startswith(LOOPBACK) and others and not tunnelled:
        yield warning(
            f"the database listens on this machine only; {', '.join(others[:3])} cannot reach it",
            "set up a MongoDB with TLS and passwords for the cluster; the embedded database serves one machine only",
        )
    elif others and not tunnelled and not _encrypted(host):
        yield warning(
            f"the connection to {name} is not encrypted",
            "enable TLS on the server and set `host: mongodb://NAME/?tls=true&tlsCAFile=FILE` in SEML's configuration",
        )
    else:
        direct = "encrypted" if others else "not needed, no other node is known"
        yield ok("reached through an SSH tunnel" if tunnelled else direct)


def _encrypted(host: str) -> bool:
    return "tls=true" in host or "ssl=true" in host or host.startswith("mongodb+srv://")


def writable(site: Site) -> Iterator[Finding]:
    """A document can be written and removed."""
    collection = site.database[TEST_COLLECTION]
    try:
        collection.delete_one({"_id": collection.insert_one({"host": "trial"}).inserted_id})
    except OperationFailure as fault:
        reason = (fault.details or {}).get("codeName", f"error {fault.code}")
        name = site.configuration["db_name"]
        yield error(
            f"the user of SEML has no write access to {name} ({reason})",
            f'ask the administrator of the database to run: db.grantRolesToUser("{site.configuration["username"]}", '
            f'[{{role: "readWrite", db: "{name}"}}])',
        )
    except PyMongoError as fault:
        yield error(
            f"a document cannot be written: {type(fault).__name__}",
            "check the log of the server and its free disk space",
        )
    else:
        yield ok("a document was written and removed")


def rights(site: Site) -> Iterator[Finding]:
    """The user of SEML has a password, and no rights on the whole server, because jobs on all nodes use it."""
    status = site.database.command("connectionStatus")["authInfo"]
    name = site.configuration["db_name"]
    excessive = sorted({role["role"] for role in status["authenticatedUserRoles"]} & EXCESSIVE_ROLES)
    if not status["authenticatedUsers"]:
        yield warning("the database requires no password", "start it with authorization enabled and create users")
    elif excessive:
        yield warning(
            f"the user of SEML has the roles {', '.join(excessive)} on the whole server",
            f"create a user with the role readWrite on {name} for SEML",
        )
    else:
        roles = [f"{role['role']} on {role['db']}" for role in status["authenticatedUserRoles"]]
        yield ok(", ".join(roles) or "none")
