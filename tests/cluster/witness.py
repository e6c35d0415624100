"""Witness of a study: a thread that checks that completed runs do not change."""

from __future__ import annotations

import threading
from types import TracebackType

from pymongo.errors import PyMongoError

from experiments.database.connection import Document, Runs
from experiments.database.run_status import COMPLETED

CHECK_SECONDS = 2.0
FIELDS = {"claim.token": 1, "stop_time": 1, "result.accuracy": 1, "result.seconds": 1}


class Witness:
    """Thread that reads the runs at regular intervals during a ``with`` block.

    Attributes
    ----------
    checks
        Number of times that it has read the runs.
    changed
        Runs that were completed and later were not, or were completed again.
    """

    def __init__(self, runs: Runs) -> None:
        self.runs = runs
        self.checks = 0
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
        """The number of runs that were completed at the last check."""
        return len(self._completed)

    def check(self) -> None:
        """Read the runs once; nothing is done if the database is unreachable."""
        try:
            now = {run["_id"]: run for run in self.runs.find({"status": COMPLETED}, FIELDS)}
        except PyMongoError:
            return
        self.checks += 1
        self.changed |= {run for run, before in self._completed.items() if now.get(run) != before}
        self._completed |= now

    def _watch(self) -> None:
        while not self._ending.wait(CHECK_SECONDS):
            self.check()
