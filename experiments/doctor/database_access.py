"""The database: reached, written to, with the rights that are needed and no more, quick enough, its clock right."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from urllib.parse import urlsplit

from pymongo.errors import OperationFailure, PyMongoError

from experiments.database.connection import DatabaseError, host_and_port, now, server_time
from experiments.database.indexes import ensure_indexes, missing_indexes
from experiments.doctor.examined_site import NotChecked, Site
from experiments.doctor.finding import Finding, error, ok, warning

TRIAL = "walking_noise.trial"
"""Documents are written here for trial, and removed."""
LOOPBACK = ("localhost", "127.", "::1")
ENOUGH = {"readWrite", "dbOwner"}
"""Either of these roles suffices, in the database of the runs."""
TOO_MUCH = {"root", "dbAdminAnyDatabase", "userAdminAnyDatabase", "readWriteAnyDatabase", "clusterAdmin", "__system"}
CLOCK_SECONDS = 30.0
"""Times of runs are told by the clocks of nodes, leases by the database's: a difference so small misleads nobody."""


def answers(site: Site) -> Iterator[Finding]:
    """It is there and accepts SEML's user."""
    database = site.connection
    if isinstance(database, DatabaseError):
        found, _, mend = str(database).partition("; ")
        yield error(found, mend)
        return
    version = database.client.server_info()["version"]
    tls = "with TLS" if _encrypted(str(site.configuration["host"])) else "without TLS"
    yield ok(f"MongoDB {version} answers at {host_and_port(database)}, {tls}, database {database.name}")


def seen_by_nodes(site: Site) -> Iterator[Finding]:
    """A database that listens on this machine alone serves no other node; in the clear its data are anyone's."""
    configuration, others = site.configuration, site.other_hosts
    host = str(configuration["host"])
    name = (urlsplit(host).hostname or "") if "://" in host else host
    tunnelled = "ssh_config" in configuration
    if name.startswith(LOOPBACK) and others and not tunnelled:
        yield warning(
            f"it listens on this machine alone, where {', '.join(others[:3])} cannot reach it",
            "a cluster needs a MongoDB of its own, with TLS and passwords; the embedded one serves one machine only",
        )
    elif others and not tunnelled and not _encrypted(host):
        yield warning(
            f"the connection to {name} is not encrypted",
            "ask the server for TLS and write `host: mongodb://NAME/?tls=true&tlsCAFile=FILE`",
        )
    else:
        direct = "encrypted" if others else "no other machine is known to need it"
        yield ok("reached through ssh" if tunnelled else direct)


def _encrypted(host: str) -> bool:
    return "tls=true" in host or "ssl=true" in host or host.startswith("mongodb+srv://")


def writable(site: Site) -> Iterator[Finding]:
    """A document can be written, read and removed."""
    trial = site.database[TRIAL]
    try:
        written = trial.insert_one({"host": "trial"}).inserted_id
        try:
            found = trial.find_one({"_id": written})
        finally:
            trial.delete_one({"_id": written})
    except OperationFailure as refusal:
        reason = (refusal.details or {}).get("codeName", f"error {refusal.code}")
        name = site.configuration["db_name"]
        yield error(
            f"SEML's user may not write to {name} ({reason})",
            f'have its administrator run: db.grantRolesToUser("{site.configuration["username"]}", '
            f'[{{role: "readWrite", db: "{name}"}}])',
        )
        return
    except PyMongoError as fault:
        yield error(f"a document cannot be written: {type(fault).__name__}", "see the server's log: is its disk full?")
        return
    if found is None:
        yield error("a document that was written is not there", "let SEML's configuration name a primary server")
    else:
        yield ok("a document was written, read and removed")


def rights(site: Site) -> Iterator[Finding]:
    """The user may do what is needed, and no more: jobs on every node carry this password."""
    said = site.database.command("connectionStatus")["authInfo"]
    if not said["authenticatedUsers"]:
        yield warning("the database asks for no password", "start it with authorization, and make users")
        return
    name = site.configuration["db_name"]
    roles = {(role["role"], role["db"]) for role in said["authenticatedUserRoles"]}
    mighty = sorted({role for role, place in roles if role in TOO_MUCH})
    if mighty:
        yield warning(
            f"SEML's user has the rights {', '.join(mighty)} over the whole server",
            f"make a user for it with readWrite on {name}",
        )
    elif any(role in ENOUGH and place == name for role, place in roles):
        yield ok(f"readWrite on {name}")
    else:
        held = ", ".join(f"{role} on {place}" for role, place in sorted(roles)) or "none"
        yield error(f"SEML's user has not readWrite on {name} but: {held}", "have its administrator grant it")


def clock(site: Site) -> Iterator[Finding]:
    """The server's clock and this machine's agree."""
    before = now()
    server = server_time(site.database).replace(tzinfo=datetime.UTC)
    apart = max((before - server).total_seconds(), (server - now()).total_seconds(), 0.0)
    if apart > CLOCK_SECONDS:
        yield warning(f"this machine's and the database's differ by {apart:.0f} s", "let both follow NTP (chrony)")
    else:
        yield ok(f"this machine's and the database's agree within {max(apart, 1):.0f} s")


def indexes(site: Site) -> Iterator[Finding]:
    """Questions to large collections are answered by an index; ``--fix`` makes those that lack."""
    if not site.collections:
        raise NotChecked("there are no runs")
    for runs in site.collections:
        found = (ensure_indexes if site.mend else missing_indexes)(site.database, runs.name)
        named = ", ".join(f"{name} {index}" for name, indexes in found.items() for index in indexes)
        if not named:
            yield ok(f"{runs.name} has them")
        elif site.mend:
            yield ok(f"made: {named}")
        else:
            yield warning(f"missing: {named}", f"walking-noise doctor {runs.name} --fix")
