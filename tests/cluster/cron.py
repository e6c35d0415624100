"""Cron jobs of a user and of an administrator."""

from __future__ import annotations

import threading
from types import TracebackType

from tests.cluster.study import Study

PAUSE_SECONDS = 10.0


class Cron:
    """Thread that repairs Slurm, and rescues and starts a study, at regular intervals during a ``with`` block.

    Attributes
    ----------
    outputs
        Outputs of the user's commands and error messages of Slurm, in order.
    """

    def __init__(self, study: Study, pause: float = PAUSE_SECONDS) -> None:
        self.study, self.pause = study, pause
        self.outputs: list[str] = []
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._work, name="cron", daemon=True)

    def __enter__(self) -> Cron:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._ending.wait(self.pause):
            try:
                self.study.slurm.repair()
                self.outputs += [self.study.rescue(check=False), self.study.start(check=False)]
            except AssertionError as error:
                self.outputs.append(str(error))
