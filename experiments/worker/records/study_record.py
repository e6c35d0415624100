"""Record of a study: what its workers and commands share, in the collection ``walking_noise.studies``.

A document with the name of the study has times. There is another document for each kind of pack and type of device that
has run out of memory, with the largest size of a pack that may fit.
"""

from __future__ import annotations

import datetime
from typing import Literal

from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from experiments.database.connection import Document, server_time
from experiments.database.run_collections import STUDIES

QUERY_SECONDS = 60.0
"""The shortest time between two queries of Slurm's tasks by workers of a study."""


def forgotten_until(database: Database[Document], collection: str) -> datetime.datetime | None:
    """The time up to which failures neither stop workers nor exclude nodes; None if all of them count."""
    record = database[STUDIES].find_one({"_id": collection}, {"forgotten": 1})
    return record.get("forgotten") if record else None


def forget_failures(database: Database[Document], collection: str) -> None:
    """Let the failures up to now stop no worker, exclude no node and limit no pack. The history keeps them."""
    database[STUDIES].delete_many({"collection": collection})
    database[STUDIES].update_one({"_id": collection}, [{"$set": {"forgotten": "$$NOW"}}], upsert=True)


def pack_limit(database: Database[Document], collection: str, pack_key: str, device: str) -> int | None:
    """The largest number of networks in a pack of a kind on a type of device; None if none has run out of memory."""
    limit = database[STUDIES].find_one({"_id": f"{collection}/{pack_key}/{device}"}, {"size": 1})
    return limit["size"] if limit else None


def limit_pack(database: Database[Document], collection: str, pack_key: str, device: str, size: int) -> None:
    """Limit the size of packs of a kind on a type of device; a lower limit is kept.

    Only the workers of this study use it, since the memory of a task is a setting of its grid.
    """
    limit = {"collection": collection, "pack_key": pack_key, "device": device}
    database[STUDIES].update_one(
        {"_id": f"{collection}/{pack_key}/{device}"}, {"$set": limit, "$min": {"size": size}}, upsert=True
    )


def pack_limits(
    database: Database[Document], collection: str, by: Literal["device", "pack_key"] = "device"
) -> dict[str, int]:
    """The smallest limit of packs that have run out of memory, by type of device or by kind of pack."""
    found = database[STUDIES].find({"collection": collection}).sort("size", -1)
    return {limit[by]: limit["size"] for limit in found}


def may_ask_slurm(database: Database[Document], collection: str) -> bool:
    """Whether a worker of a study may query Slurm's tasks now; then no other worker may for :data:`QUERY_SECONDS`."""
    latest = server_time(database) - datetime.timedelta(seconds=QUERY_SECONDS)
    due = {"_id": collection, "asked": {"$not": {"$gt": latest}}}
    try:
        database[STUDIES].update_one(due, [{"$set": {"asked": "$$NOW"}}], upsert=True)
    except DuplicateKeyError:  # the document exists, but a query is not due
        return False
    return True
