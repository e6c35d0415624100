"""Record of a study: a document that its workers and commands share, in the collection ``walking_noise.studies``."""

from __future__ import annotations

import datetime

from pymongo.database import Database

from experiments.database.connection import Document
from experiments.database.run_collections import STUDIES


def forgotten_until(database: Database[Document], collection: str) -> datetime.datetime | None:
    """The time up to which failures neither stop workers nor exclude nodes; None if all of them count."""
    record = database[STUDIES].find_one({"_id": collection}, {"forgotten": 1})
    return record.get("forgotten") if record else None


def forget_failures(database: Database[Document], collection: str) -> None:
    """Let the failures up to now stop no worker and exclude no node. The history keeps them."""
    database[STUDIES].update_one({"_id": collection}, [{"$set": {"forgotten": "$$NOW"}}], upsert=True)
