"""The process that SEML starts stays small and waits; a child does the work, and what it leaves behind is settled.

SEML's local worker kills the process it started a quarter of a second after Ctrl-C, which is too short to give
back what was claimed; a child outlives that. And a child that dies (out of memory, a crash of the driver) cannot
clean up itself.

At the start only the standard library is imported: a signal may come while everything else still loads.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from dataclasses import dataclass
from types import FrameType

from experiments.worker.assignment import Assignment
from experiments.worker.exit_codes import CLEAN_EXIT_CODES, STOP_SIGNALS


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
        """The signal's name; empty if there was none."""
        return signal.Signals(self.signum).name if self.signum else ""

    @property
    def exit_code(self) -> int:
        return 128 + self.signum if self.signum else 0


stop = Stop()
"""Whether this process was asked to stop."""


def continue_in_child(assignment: Assignment | None) -> None:
    """Return in a child process only; the parent waits for it, settles its claims if it fails, and ends as it ended.

    Without an assignment nothing happens: a run by hand is a process like any other.
    """
    if assignment is None:
        return
    parent, child = os.getpid(), 0

    def receive(signum: int, frame: FrameType | None) -> None:
        stop.note(signum)
        if child:
            with contextlib.suppress(ProcessLookupError):  # it has just ended
                os.kill(child, signum)

    for signum in STOP_SIGNALS:
        if signum != signal.SIGHUP or signal.getsignal(signum) != signal.SIG_IGN:  # else it is to outlive its terminal
            signal.signal(signum, receive)
    child = os.fork()
    if child == 0:
        stop.parent = parent
        return
    if stop.signum is not None:
        os.kill(child, stop.signum)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    child = 0
    if code not in CLEAN_EXIT_CODES:
        from experiments.worker.recovery import after_exit

        after_exit.recover_after_exit(assignment, code, stopped=stop.requested)
    sys.exit(code if code >= 0 else 128 - code)
