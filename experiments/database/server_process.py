"""One server process in a folder: started apart from its caller, found again, and stopped.

The process holds a lock on ``server.lock`` for as long as it lives, inherited from whoever started it. So the lock
alone says whether it runs: a process id left behind by a crash, or taken over by another program, misleads nobody.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from experiments.errors import UserError


class ServerError(UserError):
    """The server does not start or does not stop."""


class ServerRunning(ServerError):
    """Somebody else holds the folder's lock: the server runs, or is being started or stopped."""


class ServerFolder:
    """A folder with a server's lock, process id and log."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "server.log"
        self._lock = folder / "server.lock"
        self._pid = folder / "server.pid"
        self._child: subprocess.Popen[bytes] | None = None

    @contextlib.contextmanager
    def locked(self) -> Iterator[int]:
        """Hold the lock, as an open file; :class:`ServerRunning` if somebody else does."""
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
        """Whether the lock is held."""
        if not self._lock.exists():
            return False
        try:
            with self.locked():
                return False
        except ServerRunning:
            return True

    @property
    def pid(self) -> int | None:
        """The process id of the running server; None while it is being started."""
        try:
            return int(self._pid.read_text()) if self.running else None
        except (FileNotFoundError, ValueError):
            return None

    def start(self, command: Sequence[str], lock: int) -> subprocess.Popen[bytes]:
        """Start ``command`` in a session of its own, to which the lock passes on."""
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
        """Ask the running server to end and wait for it; return whether there was one."""
        if not self.running:
            return False
        pid = self.pid
        if pid is None:
            raise ServerError(f"the server in {self.folder} is just being started; try again in a moment")
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        end = time.monotonic() + seconds
        while self.running:
            if time.monotonic() > end:
                raise ServerError(f"the server (process {pid}) did not end within {seconds:g} s; see {self.log}")
            time.sleep(0.05)
        self._reap()
        return True

    def _reap(self) -> None:
        """Take leave of a server that this process started and that has ended."""
        if self._child is not None:
            self._child.wait()
            self._child = None

    def last_log_line(self) -> str:
        """The last line of the log."""
        lines = self.log.read_text(errors="replace").split("\n") if self.log.exists() else []
        return next((line.strip() for line in reversed(lines) if line.strip()), "its log is empty")
