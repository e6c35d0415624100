"""Checks of the database: connection, encryption, write access, rights, clock and indexes."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from urllib.parse import urlsplit

from pymongo.errors import OperationFailure, PyMongoError

from experiments.database.connection import DatabaseError, host_and_port, now, server_time
from experiments.database.indexes import ensure_indexes, missing_indexes
from experiments.doctor.examined_site import NotChecked, Site
from experiments.doctor.finding import Finding, error, ok, warning

TEST_COLLECTION = "walking_noise.trial"
"""Collection into which a test document is written; it is removed again."""
LOOPBACK = ("localhost", "127.", "::1")
SUFFICIENT_ROLES = {"readWrite", "dbOwner"}
"""Either of these roles on the database of the runs is sufficient."""
EXCESSIVE_ROLES = {
    "root",
    "dbAdminAnyDatabase",
    "userAdminAnyDatabase",
    "readWriteAnyDatabase",
    "clusterAdmin",
    "__system",
}
CLOCK_SECONDS = 30.0
"""Largest accepted difference; nodes record times of runs by their own clocks, leases follow the database clock."""


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
    """A document can be written, read and removed."""
    collection = site.database[TEST_COLLECTION]
    try:
        written = collection.insert_one({"host": "trial"}).inserted_id
        try:
            found = collection.find_one({"_id": written})
        finally:
            collection.delete_one({"_id": written})
    except OperationFailure as fault:
        reason = (fault.details or {}).get("codeName", f"error {fault.code}")
        name = site.configuration["db_name"]
        yield error(
            f"the user of SEML has no write access to {name} ({reason})",
            f'ask the administrator of the database to run: db.grantRolesToUser("{site.configuration["username"]}", '
            f'[{{role: "readWrite", db: "{name}"}}])',
        )
        return
    except PyMongoError as fault:
        yield error(
            f"a document cannot be written: {type(fault).__name__}",
            "check the log of the server and its free disk space",
        )
        return
    if found is None:
        yield error(
            "a document that was written cannot be read back",
            "set the host in SEML's configuration to a primary server",
        )
    else:
        yield ok("a document was written, read and removed")


def rights(site: Site) -> Iterator[Finding]:
    """The user has the necessary rights and no more, because jobs on all nodes use its password."""
    status = site.database.command("connectionStatus")["authInfo"]
    if not status["authenticatedUsers"]:
        yield warning("the database requires no password", "start it with authorization enabled and create users")
        return
    name = site.configuration["db_name"]
    roles = {(role["role"], role["db"]) for role in status["authenticatedUserRoles"]}
    excessive = sorted({role for role, database in roles if role in EXCESSIVE_ROLES})
    if excessive:
        yield warning(
            f"the user of SEML has the roles {', '.join(excessive)} on the whole server",
            f"create a user with the role readWrite on {name} for SEML",
        )
    elif any(role in SUFFICIENT_ROLES and database == name for role, database in roles):
        yield ok(f"readWrite on {name}")
    else:
        granted = ", ".join(f"{role} on {database}" for role, database in sorted(roles)) or "none"
        yield error(
            f"the user of SEML lacks the role readWrite on {name}; its roles: {granted}",
            "ask the administrator of the database to grant it",
        )


def clock(site: Site) -> Iterator[Finding]:
    """The clocks of the database and of this machine agree."""
    before = now()
    server = server_time(site.database).replace(tzinfo=datetime.UTC)
    difference = max((before - server).total_seconds(), (server - now()).total_seconds(), 0.0)
    if difference > CLOCK_SECONDS:
        yield warning(
            f"the clocks of this machine and of the database differ by {difference:.0f} s",
            "synchronise both by NTP (chrony)",
        )
    else:
        yield ok(f"the clocks of this machine and of the database agree within {max(difference, 1):.0f} s")


def indexes(site: Site) -> Iterator[Finding]:
    """Every collection has the indexes that its queries need; ``--fix`` creates missing ones."""
    if not site.collections:
        raise NotChecked("there are no runs yet")
    for runs in site.collections:
        missing = (ensure_indexes if site.fix else missing_indexes)(site.database, runs.name)
        names = ", ".join(f"{name} {index}" for name, indexes in missing.items() for index in indexes)
        if not names:
            yield ok(f"{runs.name} has all indexes")
        elif site.fix:
            yield ok(f"created: {names}")
        else:
            yield warning(f"missing: {names}", f"run `walking-noise doctor {runs.name} --fix`")
