"""Running other programs so that none is left behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

GIVE_BACK_SECONDS = 60.0


class ProcessGroup:
    """A program and all that it starts, in a process group of its own; on leaving, no process of it is left.

    Its output goes to ``log``, or where this process's goes.
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
        for signum, seconds in ((signal.SIGTERM, GIVE_BACK_SECONDS), (signal.SIGKILL, 5.0)):
            end = time.monotonic() + seconds
            if self._alive():
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self.process.pid, signum)
            while self._alive() and time.monotonic() < end:
                time.sleep(0.05)
        self.process.wait()

    def tail(self, lines: int = 10) -> str:
        """The end of the log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:]) if self.log else ""

    def _alive(self) -> bool:
        """Whether any process of the group still runs. One that ended may stay as a zombie where nobody reaps it."""
        self.process.poll()
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                state, _, group, *_ = stat.read_text().rpartition(")")[2].split()
                if int(group) == self.process.pid and state not in "ZX":
                    return True
        return False
