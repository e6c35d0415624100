"""Results that could not be delivered, on disk until the database is back.

A file holds some results of one worker; it appears whole or not at all, and goes when they are in the database. A
result belongs to a run that still carries its worker's token, or that was taken from that worker and has no other
since; any other has gone its own way meanwhile, and keeps what it has. A worker is known in its own database only, and
its results wait for that.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bson import json_util
from pymongo import UpdateOne
from pymongo.database import Database

from experiments.database.connection import Document
from experiments.database.run_collections import WORKERS
from experiments.database.run_status import COMPLETED, FAILED, KILLED, PENDING, RUNNING
from experiments.errors import UserError
from experiments.worker.leases import UNCLAIMED
from walking_noise.atomic_file import atomic_write

READ = json_util.JSONOptions(tz_aware=False)


@dataclass(frozen=True)
class SpooledResults:
    """Results of one worker.

    Attributes
    ----------
    begun
        The fields that say of a run that it has begun, as :func:`experiments.worker.records.run_document.start_fields` makes them.
    outcomes
        The fields that say how each run ended, by its id.
    """

    collection: str
    token: str
    begun: Document
    outcomes: Mapping[int, Document]

    @classmethod
    def read(cls, file: Path) -> SpooledResults:
        """Read a parcel from its file.

        Raises
        ------
        UserError
            It cannot be read, or is no parcel.
        """
        try:
            content = json_util.loads(file.read_text(), json_options=READ)
            outcomes = {int(run): fields for run, fields in content["outcomes"].items()}
            return cls(content["collection"], content["token"], content["begun"], outcomes)
        except OSError as error:
            raise UserError(f"{file}: {error.strerror}") from None
        except (ValueError, TypeError, KeyError, AttributeError):
            raise UserError(f"{file}: holds no results; it is left as it is") from None

    def write(self, file: Path) -> None:
        """Write the parcel to a file, whole or not at all."""
        file.parent.mkdir(parents=True, exist_ok=True)
        outcomes = {str(run): fields for run, fields in self.outcomes.items()}
        with atomic_write(file) as part:
            part.write(json_util.dumps(vars(self) | {"outcomes": outcomes}).encode())

    def deliver(self, database: Database[Document]) -> set[int]:
        """Write the results into their runs; return the runs that have them now."""
        runs = database[self.collection]
        claim = {"token": self.token}
        updates = []
        for run, fields in self.outcomes.items():
            own = {"_id": run, "claim.token": self.token, "status": {"$in": [RUNNING, KILLED]}}
            taken = {"_id": run, "returned_by": self.token, "status": {"$in": [PENDING, RUNNING]}, **UNCLAIMED}
            updates.append(UpdateOne(own, {"$set": fields}))
            updates.append(UpdateOne(taken, {"$set": {**self.begun, "claim": claim, **fields}}))
        if updates:
            runs.bulk_write(updates, ordered=False)
        return set(written(database, self.collection, self.token, self.outcomes))


def written(database: Database[Document], collection: str, token: str, runs: Iterable[int]) -> Iterator[int]:
    """Those of ``runs`` whose outcome was recorded by the owner of ``token``."""
    recorded = {"_id": {"$in": list(runs)}, "claim.token": token, "status": {"$in": [COMPLETED, FAILED]}}
    return (document["_id"] for document in database[collection].find(recorded, {"_id": 1}))


@dataclass
class Delivered:
    """What became of parcels: results by where they are or belong, and faults in words.

    Attributes
    ----------
    outdated
        Results whose runs have gone another way.
    foreign
        Results of workers that this database does not know.
    """

    delivered: int = 0
    outdated: int = 0
    foreign: int = 0
    faults: list[str] = field(default_factory=list)


class Spool:
    """A folder of parcels, which several workers may share."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._numbers = itertools.count()

    def add(self, parcel: SpooledResults) -> Path:
        """Write a parcel and say where it is.

        Raises
        ------
        OSError
            It cannot be written there.
        """
        file = self.folder / f"{parcel.token}-{next(self._numbers)}.json"
        parcel.write(file)
        return file

    def files(self) -> list[Path]:
        """The parcels that are there."""
        return sorted(self.folder.glob("*.json"))

    def deliver(self, database: Database[Document], collection: str | None = None) -> Delivered:
        """Deliver all parcels, or those of one collection, and remove them."""
        count = Delivered()
        for file in self.files():
            try:
                parcel = SpooledResults.read(file)
            except UserError as error:
                if file.exists():  # else another worker was faster
                    count.faults.append(str(error))
                continue
            if collection not in (None, parcel.collection):
                continue
            if database[WORKERS].find_one({"_id": parcel.token}, {"_id": 1}) is None:
                count.foreign += len(parcel.outcomes)
                continue
            has = parcel.deliver(database)
            count.delivered += len(has)
            count.outdated += len(parcel.outcomes) - len(has)
            try:
                file.unlink(missing_ok=True)
            except OSError as error:
                count.faults.append(f"{file}: was delivered, and cannot be removed: {error.strerror}")
        return count
