"""Pool of worker processes on a CPU: one process per core. Each has one thread, and trains one pack at a time.

A worker process is a new interpreter that runs :mod:`walking_noise.runtime.worker_process` and communicates over a
pipe. It neither imports the caller's main module again nor inherits its threads. So a pool can be started from a
script, from a notebook or from a cluster worker. A process stops when the pipe is closed by its parent, or by the
parent's death.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, Pipe, wait
from pathlib import Path

from walking_noise.config.run_config import RunConfig
from walking_noise.errors import WalkingNoiseError
from walking_noise.runtime.planner import PlannedTraining, unfinished
from walking_noise.runtime.results import Failure
from walking_noise.runtime.run_context import Event, RunContext, RunEnded
from walking_noise.training.epoch_counts import Epochs, EpochsDone

POLL_SECONDS = 0.2
"""Longest time between two calls of ``poll``."""
END_SECONDS = 10.0
"""Time for a process to exit after it has closed its end of the pipe."""
STOP_SECONDS = 20.0
"""Time for stopped processes to write checkpoints. Batch systems allow a job 30 s or more between signal and kill."""
IDLE = None
"""The message of a worker process that is ready for a pack."""


def run_in_processes(
    context: RunContext, packs: Sequence[list[PlannedTraining]], count: int, poll: Callable[[], None]
) -> Iterator[Event]:
    """Run packs on ``count`` worker processes and yield their events.

    If a process dies, its unfinished trainings are run again in halves. A single network whose process has died twice
    fails. ``poll`` is called several times per second, and may raise to stop.
    """
    with contextlib.closing(_Pool(context, packs, count)) as pool:
        try:
            while pool.waiting or pool.busy:
                poll()
                pool.assign()
                yield from pool.receive(list(pool.processes), POLL_SECONDS)
        except Exception:
            yield from pool.drain()
            raise


@dataclass
class _Process:
    """A worker process and its pack."""

    process: subprocess.Popen[bytes]
    connection: Connection
    pack: list[PlannedTraining] = field(default_factory=list)  # that it trains; empty if there is none
    started: bool = False  # whether the process has reported that it is ready for packs

    def send(self, pack: list[PlannedTraining], configs: Mapping[int, RunConfig]) -> None:
        """Send a pack to the process."""
        self.pack = pack
        with contextlib.suppress(OSError):  # if it has died, the next receive handles that
            self.connection.send((pack, configs))

    def request_stop(self) -> None:
        """Stop the process by closing the sending side of the pipe. Its last messages can still be received."""
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(self.connection.fileno())) as duplicate:
            duplicate.shutdown(socket.SHUT_WR)

    def wait(self) -> None:
        """Wait for the exit status of a process that has closed its end of the pipe."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(END_SECONDS)
        self.close()

    def close(self) -> None:
        """Kill the process if it still runs."""
        self.connection.close()
        self.process.kill()
        self.process.wait()


class _Pool:
    """Worker processes, packs that wait for a process, and runs that have ended."""

    def __init__(self, context: RunContext, packs: Sequence[list[PlannedTraining]], count: int) -> None:
        self.context, self.count = context, count
        self.waiting = list(packs)
        self.processes: dict[Connection, _Process] = {}
        self.ended: set[int] = set()
        self._killed_process: set[str] = set()
        self._stop_deadline: float | None = None

    @property
    def busy(self) -> bool:
        """Whether any process has a pack."""
        return any(process.pack for process in self.processes.values())

    def assign(self) -> None:
        """Send waiting packs to idle processes, and start processes for the rest."""
        for process in self.processes.values():
            if process.started and not process.pack and self.waiting:
                pack = self.waiting.pop(0)
                process.send(pack, {index: self.context.configs[index] for training in pack for index in training.runs})
        starting = sum(not process.started for process in self.processes.values())
        for _ in range(min(len(self.waiting) - starting, self.count - len(self.processes))):
            process = _start(self.context)
            self.processes[process.connection] = process

    def receive(self, connections: Sequence[Connection], seconds: float) -> Iterator[Event]:
        """Wait for messages on some of these connections, and yield their events. A closed pipe: the process died."""
        for connection in wait(connections, timeout=seconds):
            assert isinstance(connection, Connection)
            process = self.processes[connection]
            try:
                message: Event | logging.LogRecord | None = connection.recv()
            except (EOFError, OSError):
                del self.processes[connection]
                process.wait()
                if self._stop_deadline is None:
                    yield from self._after_death(process)
                continue
            if message is IDLE:
                process.pack, process.started = [], True
            elif isinstance(message, logging.LogRecord):
                if (logger := logging.getLogger(message.name)).isEnabledFor(message.levelno):
                    logger.handle(message)
            else:
                if isinstance(message, RunEnded):
                    self.ended.add(message.index)
                yield message

    def drain(self) -> Iterator[Event]:
        """Stop busy processes. Yield their events until they have stopped or the deadline has passed."""
        if self._stop_deadline is None:
            self._stop_deadline = time.monotonic() + STOP_SECONDS
            for process in self.processes.values():
                process.request_stop()
        while self.busy and (seconds := self._stop_deadline - time.monotonic()) > 0:
            yield from self.receive([connection for connection, one in self.processes.items() if one.pack], seconds)

    def close(self) -> None:
        """End all processes. Busy ones, if the caller has stopped iterating, have time to write checkpoints."""
        try:
            for _ in self.drain():
                pass
        finally:
            for process in self.processes.values():
                process.close()

    def _after_death(self, process: _Process) -> Iterator[Event]:
        """Queue the unfinished trainings of a dead process again, or fail a network that has killed two processes."""
        status = f"(exit status {process.process.returncode})"
        if not process.started and self.processes:
            self.count = len(self.processes)
            return
        if not process.started:
            raise WalkingNoiseError(f"a training process could not start {status}; its output is printed above")
        remaining = unfinished(process.pack, self.ended)
        if len(remaining) > 1:
            self.waiting[:0] = [remaining[: len(remaining) // 2], remaining[len(remaining) // 2 :]]
        elif remaining and (key := remaining[0].config.network_key) not in self._killed_process:
            self._killed_process.add(key)
            self.waiting[:0] = [remaining]
        elif remaining:
            yield EpochsDone({key: Epochs(done=remaining[0].config.training.epochs)})
            for index in remaining[0].runs:
                self.ended.add(index)
                yield RunEnded(index, Failure(f"the process that trained it died {status}"))


def _start(context: RunContext) -> _Process:
    """Start a worker process, and send it the context without the runs."""
    ours, theirs = Pipe()
    checkout = Path(__file__).parents[2]
    paths = [str(checkout), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "walking_noise.runtime.worker_process", str(theirs.fileno())],
        pass_fds=[theirs.fileno()],
        env=environment,
        stdin=subprocess.DEVNULL,
    )
    theirs.close()
    with contextlib.suppress(OSError):  # if it has died, the next receive handles that
        ours.send(dataclasses.replace(context, configs={}))
    return _Process(process, ours)
