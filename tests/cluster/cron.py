"""What a user and an administrator would let cron jobs do."""

from __future__ import annotations

import threading
from types import TracebackType

from tests.cluster.study import Study

PAUSE_SECONDS = 10.0


class Cron:
    """A context in which a thread mends Slurm, and rescues and starts a study, now and then, whether or not anything
    answers just then.

    Attributes
    ----------
    said
        What the user's commands said, the last ones last, and why Slurm did not answer.
    """

    def __init__(self, study: Study, pause: float = PAUSE_SECONDS) -> None:
        self.study, self.pause = study, pause
        self.said: list[str] = []
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
                self.study.slurm.mend()
                self.said += [self.study.rescue(check=False), self.study.start(check=False)]
            except AssertionError as error:
                self.said.append(str(error))
