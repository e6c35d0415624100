"""Python processes for tests, forked from one that has imported the large libraries, which saves seconds of each start.

The process has its own id, exit status, environment, folder, cores, streams and session, as if it had been executed.
Libraries that read the environment while they are imported are not imported before the fork.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import importlib
import os
import runpy
import signal
import socket
import subprocess
import sys
import threading
from multiprocessing.connection import Connection, Pipe
from multiprocessing.reduction import recvfds, sendfds
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PRELOADED = (
    "torch", "pandas", "pymongo", "sacred", "typer", "rich.console", "walking_noise.runtime.worker_process",
    "walking_noise.runtime.train_runs",
)  # fmt: skip
_lock = threading.Lock()


class Forked(subprocess.Popen[Any]):
    """A ``subprocess.Popen`` of a Python program: ``python …``, or a script beside the interpreter such as ``seml``."""

    def _execute_child(self, args, executable, preexec_fn, close_fds, pass_fds, cwd, env, _info, _flags, _shell,
                       p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite, _restore, _gid, _gids, _uid, _umask,
                       start_new_session, _group) -> None:  # fmt: skip
        streams = [given if given != -1 else own for own, given in enumerate((p2cread, c2pwrite, errwrite))]
        self._status, theirs = Pipe(duplex=False)
        cores = os.sched_getaffinity(0)
        with _lock, theirs:
            _, server, channel = _server()
            numbers = (0, 1, 2, *pass_fds)
            server.send((list(args), cwd or Path.cwd(), env or dict(os.environ), cores, start_new_session, numbers))
            sendfds(channel, [theirs.fileno(), *streams, *pass_fds])
        self.pid = self._status.recv()
        self._child_created = True
        self._close_pipe_fds(p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite)  # type: ignore[attr-defined]

    def _try_wait(self, flags: int) -> tuple[int, int]:
        return (self.pid, self._status.recv()) if not flags or self._status.poll() else (0, 0)

    def _internal_poll(self, *_: object, **__: object) -> int | None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._wait(timeout=0)  # type: ignore[attr-defined]
        return self.returncode


@functools.cache
def _server() -> tuple[subprocess.Popen[bytes], Connection, socket.socket]:
    ours, theirs = socket.socketpair()
    with theirs:
        command = [sys.executable, "-W", "ignore", "-m", "tests.forked", str(theirs.fileno())]
        process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()])
    return process, Connection(os.dup(ours.fileno())), ours


def _serve(descriptor: int) -> list[str]:
    """Fork a process for every request, until the test process has ended; return its command, in this process only."""
    requests, channel = Connection(descriptor), socket.socket(fileno=os.dup(descriptor))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    assert threading.active_count() == 1
    command: list[str]
    while True:
        try:
            command, folder, environment, cores, new_session, numbers = requests.recv()
        except EOFError:
            sys.exit()
        status, *received = recvfds(channel, 1 + len(numbers))
        if os.fork() == 0:
            break
        for each in (status, *received):
            os.close(each)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if child := os.fork():  # this process waits for the status
        os.closerange(0, status)
        os.closerange(status + 1, 1024)
        with Connection(status, readable=False) as pipe, contextlib.suppress(BrokenPipeError):
            pipe.send(child)
            pipe.send(os.waitpid(child, 0)[1])
        os._exit(0)
    high = [fcntl.fcntl(each, fcntl.F_DUPFD, 512) for each in received]
    for source, target in zip(high, numbers, strict=True):
        os.dup2(source, target)
    for each in [int(entry.name) for entry in Path("/proc/self/fd").iterdir()]:
        with contextlib.suppress(OSError):  # that of the listing
            if each not in numbers:
                os.close(each)
    requests._handle = None  # type: ignore[attr-defined]
    channel.detach()
    if new_session:
        os.setsid()
    os.sched_setaffinity(0, cores)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    return command


def _run(program: str, *arguments: str) -> None:
    script = Path(sys.executable).parent / program
    match ("script", *arguments) if not Path(program).name.startswith("python") else arguments:
        case ["-P", *rest]:
            _run(program, *rest)
        case ["-c", code, *rest]:
            sys.argv = ["-c", *rest]
            exec(compile(code, "<string>", "exec"), {"__name__": "__main__"})
        case ["-m", module, *rest]:
            sys.argv = [module, *rest]
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        case [file, *rest]:
            path = str(script if file == "script" else file)
            sys.argv = [path, *rest]
            sys.path.insert(0, str(Path(path).parent))
            runpy.run_path(path, run_name="__main__")


if __name__ == "__main__":
    for name in PRELOADED:
        importlib.import_module(name)
    _run(*_serve(int(sys.argv[1])))
