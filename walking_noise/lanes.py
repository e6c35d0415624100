"""Packs side by side on a CPU: one process per core, one thread each.

A lane is a fresh interpreter that runs :mod:`walking_noise.lane` and talks over a pipe. It neither re-imports the
caller's main module nor inherits its threads, so it can be started from a script, a notebook or a worker. A lane stops
when the pipe is closed, be it that its parent wants it to or that its parent has died.
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

from walking_noise.config import RunConfig
from walking_noise.errors import WalkingNoiseError
from walking_noise.job import Epochs, EpochsDone, Event, Job, Logged, RunEnded
from walking_noise.packing import Training, unfinished
from walking_noise.results import Failure

POLL_SECONDS = 0.2
END_SECONDS = 10.0
STOP_SECONDS = 20.0
"""How long lanes are given to write checkpoints once they are to stop; batch systems give a job 30 s or more."""
IDLE = None
"""What a lane sends when it is ready for a pack."""


def run_in_lanes(job: Job, packs: Sequence[list[Training]], count: int, check: Callable[[], None]) -> Iterator[Event]:
    """Run packs on ``count`` processes; yield what happens. ``check`` is called several times a second and may raise.

    What a lane leaves behind that dies is tried again, in halves; a network whose lane dies twice has failed.
    """
    with contextlib.closing(_Crew(job, packs, count)) as crew:
        try:
            while crew.waiting or crew.busy:
                check()
                crew.assign()
                yield from crew.listen(list(crew.lanes), POLL_SECONDS)
        except Exception:
            yield from crew.last_words()
            raise


@dataclass
class _Lane:
    """A process, and what it has to do and has done of it."""

    process: subprocess.Popen[bytes]
    connection: Connection
    pack: list[Training] = field(default_factory=list)
    started: bool = False
    idle: bool = False

    def give(self, pack: list[Training], configs: Mapping[int, RunConfig]) -> None:
        self.pack, self.idle = pack, False
        with contextlib.suppress(OSError):  # it has died: that is heard next
            self.connection.send((pack, configs))

    def rest(self) -> None:
        self.pack, self.started, self.idle = [], True, True

    def hang_up(self) -> None:
        """Say no more, which lets the lane stop; what it still says can be heard."""
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(self.connection.fileno())) as ours:
            ours.shutdown(socket.SHUT_WR)

    def wait(self) -> None:
        """See a process off that has closed its end of the pipe, so that its own exit status is known."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(END_SECONDS)
        self.close()

    def close(self) -> None:
        self.connection.close()
        self.process.kill()
        self.process.wait()


class _Crew:
    """The lanes, the packs that wait for one, and which runs have ended."""

    def __init__(self, job: Job, packs: Sequence[list[Training]], count: int) -> None:
        self.job, self.count = job, count
        self.waiting = list(packs)
        self.lanes: dict[Connection, _Lane] = {}
        self.ended: set[int] = set()
        self._died_with: set[str] = set()
        self._leaving: float | None = None

    @property
    def busy(self) -> bool:
        return any(lane.pack for lane in self.lanes.values())

    def assign(self) -> None:
        """Give waiting packs to idle lanes, and start lanes for what is left."""
        for lane in self.lanes.values():
            if lane.idle and self.waiting:
                pack = self.waiting.pop(0)
                lane.give(pack, {index: self.job.configs[index] for training in pack for index in training.runs})
        starting = sum(not lane.started for lane in self.lanes.values())
        for _ in range(min(len(self.waiting) - starting, self.count - len(self.lanes))):
            lane = _start(self.job)
            self.lanes[lane.connection] = lane

    def listen(self, lanes: Sequence[Connection], seconds: float) -> Iterator[Event]:
        """Wait until some of these lanes say something, and take it in."""
        for connection in wait(lanes, timeout=seconds):
            assert isinstance(connection, Connection)
            yield from self._hear(connection)

    def _hear(self, connection: Connection) -> Iterator[Event]:
        """Take in what a lane says, or that it has died."""
        lane = self.lanes[connection]
        try:
            said: Event | Logged | None = connection.recv()
        except (EOFError, OSError):
            del self.lanes[connection]
            lane.wait()
            if self._leaving is None:
                yield from self._after_death(lane)
            return
        if said is IDLE:
            lane.rest()
        elif isinstance(said, Logged):
            logging.getLogger(said.logger).log(said.level, said.text)
        else:
            if isinstance(said, RunEnded):
                self.ended.add(said.index)
            yield said

    def last_words(self) -> Iterator[Event]:
        """Let busy lanes stop, and hear what they say until they have, or until their time is over."""
        if self._leaving is None:
            self._leaving = time.monotonic() + STOP_SECONDS
            for lane in self.lanes.values():
                lane.hang_up()
        while self.busy and (left := self._leaving - time.monotonic()) > 0:
            yield from self.listen([connection for connection, lane in self.lanes.items() if lane.pack], left)

    def close(self) -> None:
        """End all lanes; those that are still busy, since the caller lost interest, are given time."""
        try:
            for _ in self.last_words():
                pass
        finally:
            for lane in self.lanes.values():
                lane.close()

    def _after_death(self, lane: _Lane) -> Iterator[Event]:
        how = f"(exit status {lane.process.returncode})"
        if not lane.started and self.lanes:
            self.count = len(self.lanes)
            return
        if not lane.started:
            raise WalkingNoiseError(f"a training process could not start {how}; what it said stands above")
        left = unfinished(lane.pack, self.ended)
        if len(left) > 1:
            self.waiting[:0] = [left[: len(left) // 2], left[len(left) // 2 :]]
        elif left and (key := left[0].config.network_key) not in self._died_with:
            self._died_with.add(key)
            self.waiting[:0] = [left]
        elif left:
            yield EpochsDone({key: Epochs(done=left[0].config.training.epochs)})
            for index in left[0].runs:
                self.ended.add(index)
                yield RunEnded(index, Failure(f"its training process died {how}"))


def _start(job: Job) -> _Lane:
    ours, theirs = Pipe()
    package = Path(__file__).parents[1]
    paths = [str(package), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "walking_noise.lane", str(theirs.fileno())],
        pass_fds=[theirs.fileno()],
        env=environment,
        stdin=subprocess.DEVNULL,
    )
    theirs.close()
    with contextlib.suppress(OSError):  # it has died: that is heard next
        ours.send(dataclasses.replace(job, configs={}))
    return _Lane(process, ours)
