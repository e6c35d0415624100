"""Supervisor of a worker: the process that SEML starts forks the worker as a child, waits for it and recovers its runs.

Two reasons require a child. A quarter of a second after Ctrl-C, SEML's local worker kills the process that it started.
That is too short to release the runs; the child survives it. And a child that is killed (out of memory, a crash of the
driver) cannot release its runs itself.

At the start only the standard library is imported, because a signal may arrive while other modules are still loading.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from dataclasses import dataclass
from types import FrameType

from experiments.worker.assignment import Assignment
from experiments.worker.cgroup import killed_for_memory
from experiments.worker.exit_codes import CLEAN_EXIT_CODES, STOP_SIGNALS


@dataclass
class Stop:
    """Request to stop this process, made by a signal or by the end of its parent process."""

    signum: int | None = None  # the first signal received
    parent: int | None = None  # process id of the parent whose end counts as SIGTERM; None ignores it

    def note(self, signum: int, frame: FrameType | None = None) -> None:
        """Record a signal, as a signal handler; later signals are ignored."""
        self.signum = self.signum or signum

    @property
    def requested(self) -> bool:
        """Whether the process must stop."""
        if self.signum is None and self.parent is not None and os.getppid() != self.parent:
            self.signum = signal.SIGTERM
        return self.signum is not None

    @property
    def reason(self) -> str:
        """The name of the signal; empty without one."""
        return signal.Signals(self.signum).name if self.signum else ""

    @property
    def exit_code(self) -> int:
        """128 plus the number of the signal; 0 without one."""
        return 128 + self.signum if self.signum else 0


stop = Stop()
"""The stop request of this process."""


def continue_in_child(assignment: Assignment | None) -> None:
    """Fork the worker: the function returns in the child process only.

    The parent forwards signals to the child, waits for its end, recovers its runs if it crashed, and exits with its
    exit code. Without an assignment there is no fork: a run without a database needs no supervisor.
    """
    if assignment is None:
        return
    parent, child = os.getpid(), 0

    def receive(signum: int, frame: FrameType | None) -> None:
        stop.note(signum)
        if child:
            with contextlib.suppress(ProcessLookupError):  # the child has just ended
                os.kill(child, signum)

    for signum in STOP_SIGNALS:
        if signum != signal.SIGHUP or signal.getsignal(signum) != signal.SIG_IGN:  # nohup ignores SIGHUP
            signal.signal(signum, receive)
    killed_before = killed_for_memory()
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

        for_memory = code == -signal.SIGKILL and (killed_for_memory() or 0) > (killed_before or 0)
        after_exit.recover_after_exit(assignment, code, stopped=stop.requested, for_memory=for_memory)
    sys.exit(code if code >= 0 else 128 - code)
