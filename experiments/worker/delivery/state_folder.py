"""State folder of workers: checkpoints, and results that could not be delivered. It outlives the workers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from experiments.database.connection import Document
from experiments.worker.delivery.spool import Spool
from experiments.worker.worker_options import WorkerOptions

DEFAULT_NAME = "state"
"""The folder's name next to the logs of the runs, if ``WALKING_NOISE_STATE`` is not set."""


@dataclass(frozen=True)
class StateFolder:
    """The state folder and its subfolders. They are created when they are first needed."""

    folder: Path

    @classmethod
    def for_run(cls, options: WorkerOptions, run: Document) -> StateFolder | None:
        """The folder of a worker of this run; None if the options name no folder and the run has no log."""
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
