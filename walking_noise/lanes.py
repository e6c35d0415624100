"""Packs side by side on a CPU: one process per core, one thread each.

A lane is a fresh interpreter that runs :mod:`walking_noise.lane` and talks over a pipe. It neither re-imports the
caller's main module nor inherits its threads, so it can be started from a script, a notebook or a worker. A lane ends
with its parent.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, Pipe, wait
from pathlib import Path

from walking_noise.pack_task import Event, PackTask
from walking_noise.packing import Training
from walking_noise.results import Failure

POLL_SECONDS = 0.2
END_SECONDS = 10.0
IDLE = None
"""What a lane sends when it is ready for a pack."""


@dataclass
class _Lane:
    process: subprocess.Popen[bytes]
    connection: Connection
    pack: list[Training] = field(default_factory=list)
    finished: set[int] = field(default_factory=set)

    def wait(self) -> None:
        """See a process off that has closed its end of the pipe, so that its own exit status is known."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(END_SECONDS)
        self.close()

    def close(self) -> None:
        self.connection.close()
        self.process.kill()
        self.process.wait()


def run_in_lanes(
    task: PackTask, packs: Sequence[list[Training]], count: int, check: Callable[[], None]
) -> Iterator[Event]:
    """Run packs on ``count`` processes; yield what happens. ``check`` is called several times a second and may raise.

    The runs of a pack whose lane dies are tried again on new lanes, in halves, until the fault stands alone.
    """
    waiting = list(packs)
    lanes: dict[Connection, _Lane] = {}
    try:
        while waiting or any(lane.pack for lane in lanes.values()):
            check()
            busy = sum(bool(lane.pack) for lane in lanes.values())
            while len(lanes) < min(count, len(waiting) + busy):
                lane = _start(task)
                lanes[lane.connection] = lane
            for connection in wait(list(lanes), timeout=POLL_SECONDS):
                assert isinstance(connection, Connection)
                lane = lanes[connection]
                try:
                    event: Event | None = connection.recv()
                except (EOFError, ConnectionError):
                    del lanes[connection]
                    lane.wait()
                    yield from _after_death(lane, waiting)
                    continue
                if event is IDLE:
                    lane.pack, lane.finished = (waiting.pop(0) if waiting else []), set()
                    if lane.pack:
                        connection.send(lane.pack)
                    continue
                if isinstance(event, tuple):
                    lane.finished.add(event[0])
                yield event
    finally:
        for lane in lanes.values():
            lane.close()


def _start(task: PackTask) -> _Lane:
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
    ours.send(task)
    return _Lane(process, ours)


def _after_death(lane: _Lane, waiting: list[list[Training]]) -> Iterator[Event]:
    """Put what a dead lane had left back in two halves, or give up on it if it was a single network."""
    if not lane.pack and lane.process.returncode:
        raise RuntimeError(f"a training process could not start (exit status {lane.process.returncode})")
    left = [training for training in lane.pack if not lane.finished.issuperset(training.runs)]
    if len(left) > 1:
        waiting[:0] = [left[: len(left) // 2], left[len(left) // 2 :]]
        return
    for training in left:
        for index in set(training.runs) - lane.finished:
            yield index, Failure(f"its training process died (exit status {lane.process.returncode})")
