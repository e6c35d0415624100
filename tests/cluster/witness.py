"""Watches the runs of a study all the while: what is completed must stay as it is."""

from __future__ import annotations

import threading
from types import TracebackType

from pymongo.errors import PyMongoError

from experiments.database.connection import Document, Runs
from experiments.database.run_status import COMPLETED

LOOK_SECONDS = 2.0
FIELDS = {"claim.token": 1, "stop_time": 1, "result.accuracy": 1, "result.seconds": 1}


class Witness:
    """A context in which a thread looks at the runs again and again.

    Attributes
    ----------
    looks
        How often it has seen them.
    changed
        Runs that were once completed and later were not, or were completed anew.
    """

    def __init__(self, runs: Runs) -> None:
        self.runs = runs
        self.looks = 0
        self.changed: set[int] = set()
        self._completed: dict[int, Document] = {}
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="witness", daemon=True)

    def __enter__(self) -> Witness:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        self._thread.join()

    @property
    def completed(self) -> int:
        """The number of runs that were completed when last seen."""
        return len(self._completed)

    def look(self) -> None:
        """Look once; the database may be away."""
        try:
            now = {run["_id"]: run for run in self.runs.find({"status": COMPLETED}, FIELDS)}
        except PyMongoError:
            return
        self.looks += 1
        self.changed |= {run for run, before in self._completed.items() if now.get(run) != before}
        self._completed |= now

    def _watch(self) -> None:
        while not self._ending.wait(LOOK_SECONDS):
            self.look()
