"""Child program in its own process group. On exit, no process of the group is left running."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

TERMINATION_SECONDS = 60.0
"""Time between SIGTERM and SIGKILL, in which a worker can release its runs."""


class ProcessGroup:
    """Context manager of a program and all processes that it starts; on exit, it ends those that still run.

    The output of the program is written to ``log``, or to the output of this process.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log: Path | None = None) -> None:
        self.log = log
        with contextlib.ExitStack() as files:
            output = files.enter_context(log.open("wb")) if log else None
            self.process = subprocess.Popen(
                command,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT if output else None,
                start_new_session=True,
            )

    def __enter__(self) -> ProcessGroup:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for signum, seconds in ((signal.SIGTERM, TERMINATION_SECONDS), (signal.SIGKILL, 5.0)):
            end = time.monotonic() + seconds
            if self._alive():
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self.process.pid, signum)
            while self._alive() and time.monotonic() < end:
                time.sleep(0.05)
        self.process.wait()

    def tail(self, lines: int = 10) -> str:
        """The last lines of the log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:]) if self.log else ""

    def _alive(self) -> bool:
        """Whether a process of the group still runs.

        A zombie does not count: a process that ended remains one if its parent does not wait for it.
        """
        self.process.poll()
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                state, _, group, *_ = stat.read_text().rpartition(")")[2].split()
                if int(group) == self.process.pid and state not in "ZX":
                    return True
        return False
