"""Packs side by side on a CPU: one process per core, one thread each.

A lane is a fresh interpreter that runs :mod:`walking_noise.lane` and talks over a pipe. It neither re-imports the
caller's main module nor inherits its threads, so it can be started from a script, a notebook or a worker. A lane ends
with its parent.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, Pipe, wait
from pathlib import Path

from walking_noise.config import RunConfig
from walking_noise.errors import WalkingNoiseError
from walking_noise.job import EpochsDone, Event, Job, RunEnded
from walking_noise.packing import Training
from walking_noise.results import Failure

POLL_SECONDS = 0.2
END_SECONDS = 10.0
IDLE = None
"""What a lane sends when it is ready for a pack."""


def run_in_lanes(job: Job, packs: Sequence[list[Training]], count: int, check: Callable[[], None]) -> Iterator[Event]:
    """Run packs on ``count`` processes; yield what happens. ``check`` is called several times a second and may raise.

    What a lane leaves behind that dies is tried again, in halves; a network whose lane dies twice has failed.
    """
    crew = _Crew(job, packs, count)
    try:
        while crew.waiting or crew.busy:
            check()
            crew.assign()
            for connection in wait(list(crew.lanes), timeout=POLL_SECONDS):
                assert isinstance(connection, Connection)
                yield from crew.hear(connection)
    finally:
        for lane in crew.lanes.values():
            lane.close()


@dataclass
class _Lane:
    """A process, and what it has to do and has done of it."""

    process: subprocess.Popen[bytes]
    connection: Connection
    pack: list[Training] = field(default_factory=list)
    epochs: int = 0
    started: bool = False
    idle: bool = False

    def give(self, pack: list[Training], configs: Mapping[int, RunConfig]) -> None:
        self.pack, self.idle = pack, False
        with contextlib.suppress(OSError):  # it has died: that is heard next
            self.connection.send((pack, configs))

    def rest(self) -> None:
        self.pack, self.epochs, self.started, self.idle = [], 0, True, True

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
        self._died_with: set[tuple[int, ...]] = set()

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

    def hear(self, connection: Connection) -> Iterator[Event]:
        """Take in what a lane says, or that it has died."""
        lane = self.lanes[connection]
        try:
            event: Event | None = connection.recv()
        except (EOFError, OSError):
            del self.lanes[connection]
            lane.wait()
            yield from self._after_death(lane)
            return
        if event is IDLE:
            lane.rest()
        elif isinstance(event, EpochsDone):
            lane.epochs += event.count
            yield event
        elif event.index not in self.ended:
            self.ended.add(event.index)
            yield event

    def _after_death(self, lane: _Lane) -> Iterator[Event]:
        how = f"(exit status {lane.process.returncode})"
        if not lane.started and self.lanes:
            self.count = len(self.lanes)
            return
        if not lane.started:
            raise WalkingNoiseError(f"a training process could not start {how}; what it said stands above")
        left = [training for training in lane.pack if not self.ended.issuperset(training.runs)]
        yield EpochsDone(_epochs(lane.pack) - _epochs(left) - lane.epochs)
        if len(left) > 1:
            self.waiting[:0] = [left[: len(left) // 2], left[len(left) // 2 :]]
        elif left and tuple(left[0].runs) not in self._died_with:
            self._died_with.add(tuple(left[0].runs))
            self.waiting[:0] = [left]
        elif left:
            yield EpochsDone(_epochs(left))
            for index in set(left[0].runs) - self.ended:
                self.ended.add(index)
                yield RunEnded(index, Failure(f"its training process died {how}"))


def _epochs(pack: Sequence[Training]) -> int:
    return sum(training.config.training.epochs for training in pack)


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
