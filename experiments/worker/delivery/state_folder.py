"""The folder where workers keep what must outlive them: checkpoints, and results that could not be delivered."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from experiments.database.connection import Document
from experiments.worker.delivery.spool import Spool
from experiments.worker.worker_options import WorkerOptions

DEFAULT_NAME = "state"
"""Its name beside the logs of the runs, where nothing else is said."""


@dataclass(frozen=True)
class StateFolder:
    """The folder and what lies where in it; nothing is made before it is needed."""

    folder: Path

    @classmethod
    def for_run(cls, options: WorkerOptions, run: Document) -> StateFolder | None:
        """The folder for a worker of this run; None if none is named and the run has no log."""
        if options.state is not None:
            return cls(options.state)
        log = run["seml"].get("output_file")
        return cls(Path(log).parent / DEFAULT_NAME) if log else None

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    @property
    def spool(self) -> Spool:
        return Spool(self.folder / "undelivered")
