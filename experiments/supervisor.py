"""The process that SEML starts stays small and waits; a child does the work, and what it leaves behind is settled.

SEML's local worker kills the process it started a quarter of a second after Ctrl-C, which is too short to give
back what was claimed; a child outlives that. And a child that dies (out of memory, a crash of the driver) cannot
clean up itself.

Only the standard library is imported here: a signal may come while everything else still loads.
"""

from __future__ import annotations

import ast
import os
import signal
import sys
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import FrameType

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
LEADER_FAILED = 3
ORDERLY = (0, LEADER_FAILED, *(128 + signum for signum in STOP_SIGNALS))
"""Exit codes of a worker that has left nothing to settle."""


@dataclass
class Stop:
    """Whether this process was asked to stop: by a signal, or by the end of the process that waits for it."""

    signum: int | None = None
    parent: int | None = None

    def note(self, signum: int, frame: FrameType | None = None) -> None:
        """Handle a signal; the first one counts."""
        self.signum = self.signum or signum

    @property
    def requested(self) -> bool:
        if self.signum is None and self.parent is not None and os.getppid() != self.parent:
            self.signum = signal.SIGTERM
        return self.signum is not None

    @property
    def reason(self) -> str:
        return signal.Signals(self.signum).name if self.signum else "not asked to stop"

    @property
    def exit_code(self) -> int:
        return 128 + self.signum if self.signum else 0


@dataclass(frozen=True)
class Assignment:
    """The run with which SEML starts a worker, and the token under which the worker claims it and others."""

    collection: str
    leader: int
    token: str = field(default_factory=lambda: uuid.uuid4().hex)

    @classmethod
    def from_arguments(cls, arguments: Sequence[str]) -> Assignment | None:
        """Read SEML's ``db_collection='NAME' overwrite=ID``; None without them: a run by hand."""
        given = dict(argument.split("=", 1) for argument in arguments if "=" in argument)
        if "db_collection" not in given or "overwrite" not in given:
            return None
        return cls(str(ast.literal_eval(given["db_collection"])), int(given["overwrite"]))


stop = Stop()
"""Of this process."""


def supervise(assignment: Assignment | None) -> None:
    """Go on in a child process; the parent waits for it, settles its claims if it fails, and ends as it ended.

    Without an assignment nothing happens: a run by hand is a process like any other.
    """
    if assignment is None:
        return
    parent, child = os.getpid(), 0

    def receive(signum: int, frame: FrameType | None) -> None:
        stop.note(signum)
        if child:
            os.kill(child, signum)

    for signum in STOP_SIGNALS:
        signal.signal(signum, receive)
    child = os.fork()
    if child == 0:
        stop.parent = parent
        return
    if stop.signum is not None:
        os.kill(child, stop.signum)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    child = 0
    if code not in ORDERLY:
        from experiments import claims

        claims.settle(assignment, code, stopped=stop.requested)
    sys.exit(code if code >= 0 else 128 - code)
