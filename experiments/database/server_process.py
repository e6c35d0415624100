"""Background server process with its lock, process id and log in a folder.

The process that starts the server locks ``server.lock``, and the server inherits the lock and holds it until it ends.
The lock therefore shows reliably whether the server runs. The stored process id does not: it may be left over from a
crash, or belong to another program by now.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from experiments.errors import UserError


class ServerError(UserError):
    """The server could not be started or stopped."""


class ServerRunning(ServerError):
    """Another process holds the folder's lock: the server runs, or is being started or stopped."""


def end(pid: int, ended: Callable[[], object], seconds: float = 30, again: float = 15) -> bool:
    """Send SIGTERM to a process and wait at most ``seconds``; return whether it has ended.

    The signal is sent again after ``again`` seconds: a Python server that receives it while its main thread is about to
    wait does not notice the first one. The embedded database waits up to 7 seconds for its clients when it ends, and
    begins anew at every signal.
    """
    deadline = time.monotonic() + seconds
    repeated = 0.0
    while not ended():
        now = time.monotonic()
        if now > deadline:
            return False
        if now > repeated:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
            repeated = now + again
        time.sleep(0.05)
    return True


class ServerFolder:
    """Folder with a server's lock (``server.lock``), process id (``server.pid``) and log (``server.log``)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "server.log"
        self._lock = folder / "server.lock"
        self._pid = folder / "server.pid"
        self._child: subprocess.Popen[bytes] | None = None

    @contextlib.contextmanager
    def locked(self) -> Iterator[int]:
        """Hold the lock during a ``with`` block that gets its file descriptor; :class:`ServerRunning` if it is held."""
        lock = os.open(self._lock, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ServerRunning(f"{self.folder} is in use by a running server") from None
            self._pid.unlink(missing_ok=True)
            yield lock
        finally:
            os.close(lock)

    @property
    def running(self) -> bool:
        """Whether a process holds the lock."""
        if not self._lock.exists():
            return False
        try:
            with self.locked():
                return False
        except ServerRunning:
            return True

    @property
    def pid(self) -> int | None:
        """The process id of the running server; None if there is none, or while it is being started."""
        try:
            return int(self._pid.read_text()) if self.running else None
        except (FileNotFoundError, ValueError):
            return None

    def start(self, command: Sequence[str], lock: int) -> subprocess.Popen[bytes]:
        """Start ``command`` in its own session; it inherits the file descriptor ``lock``."""
        self._reap()
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                command,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=(lock,),
            )
        self._pid.write_text(f"{process.pid}\n")
        self._child = process
        return process

    def stop(self, seconds: float = 30) -> bool:
        """Send SIGTERM to the running server, and SIGKILL after ``seconds``; return whether one was running.

        SIGKILL loses no acknowledged write: the server has written each to the disk.
        """
        if not self.running:
            return False
        pid = self.pid
        if pid is None:
            raise ServerError(f"the server in {self.folder} is just being started; try again in a few seconds")
        if not end(pid, lambda: not self.running, seconds):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if not end(pid, lambda: not self.running, seconds):
            raise ServerError(f"the server (process {pid}) did not end within {seconds:g} s; see {self.log}")
        self._reap()
        return True

    def _reap(self) -> None:
        """Collect the exit status of an ended server that this process started, so that no zombie remains."""
        if self._child is not None:
            self._child.wait()
            self._child = None

    def last_log_line(self) -> str:
        """The last line of the log that is not empty."""
        lines = self.log.read_text(errors="replace").split("\n") if self.log.exists() else []
        return next((line.strip() for line in reversed(lines) if line.strip()), "its log is empty")
