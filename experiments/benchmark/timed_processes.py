"""Group of processes that measure at the same time, like the processes of a worker that train on the cores of a CPU."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing.synchronize import Barrier
from threading import BrokenBarrierError
from types import TracebackType
from typing import Concatenate, ParamSpec, TypeVar

from experiments.errors import UserError

P = ParamSpec("P")
T = TypeVar("T")
BARRIER_TIMEOUT = 600.0
"""Seconds that a process waits for the others."""

_barrier: Barrier | None = None


def wait_for_all() -> None:
    """Wait until all processes of the group have called this function; a single process does not wait."""
    if _barrier is not None:
        _barrier.wait(BARRIER_TIMEOUT)


class TimedProcesses:
    """Group of ``size`` processes that run the same function; a group of one is the calling process.

    The function must call :func:`wait_for_all` at least once. Otherwise a fast process could run the function
    twice, and another one not at all.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._executor: ProcessPoolExecutor | None = None
        if size > 1:
            context = multiprocessing.get_context("forkserver")
            context.set_forkserver_preload(["experiments.benchmark.peers.peer"])
            self._executor = ProcessPoolExecutor(size, context, initializer=_set_up, initargs=(context.Barrier(size),))

    def __enter__(self) -> TimedProcesses:
        self.run(_start)  # the executor notices the death of a process only after it has started all of them
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._executor is not None:
            self._executor.shutdown(cancel_futures=True)

    def run(self, function: Callable[Concatenate[int, P], T], *args: P.args, **kwargs: P.kwargs) -> list[T]:
        """Return what ``function(rank, …)`` returns in each process; the ranks are 0, 1, ….

        Raises
        ------
        UserError
            A process has died.
        """
        if self._executor is None:
            return [function(0, *args, **kwargs)]
        calls = [partial(function, rank, *args, **kwargs) for rank in range(self.size)]
        futures = [self._executor.submit(_call, call) for call in calls]
        try:
            _raise_cause(futures)
        except BrokenProcessPool:
            raise UserError(
                f"bench: one of {self.size} measuring processes died; see its output above. If there is none, "
                "memory may have run out: use fewer cores with `taskset -c 0-1 walking-noise bench`"
            ) from None
        return [future.result() for future in futures]


def _start(rank: int) -> None:
    wait_for_all()


def _set_up(barrier: Barrier) -> None:
    global _barrier
    _barrier = barrier


def _call(call: Callable[[], T]) -> T:
    """Call a function; if it raises, release the other processes from the barrier."""
    try:
        return call()
    except BaseException:
        assert _barrier is not None
        _barrier.abort()
        raise


def _raise_cause(futures: list[Future[T]]) -> None:
    """Raise the error of the process that failed, in preference to the broken barrier of the others."""
    errors = [error for future in futures if (error := future.exception()) is not None]
    causes = [error for error in errors if not isinstance(error, BrokenBarrierError)]
    for error in (*causes, *errors):
        raise error
