"""Processes that measure the same thing at the same time, as workers on the cores of a CPU do."""

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
PATIENCE = 600.0
"""Seconds that a process waits for the others."""

_barrier: Barrier | None = None


def wait_for_all() -> None:
    """Wait until all processes of the crew are here; one alone goes on at once."""
    if _barrier is not None:
        _barrier.wait(PATIENCE)


class TimedProcesses:
    """So many processes; a crew of one is this process.

    What they run has to :func:`wait_for_all` at least once, so that each of them takes part.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._executor: ProcessPoolExecutor | None = None
        if size > 1:
            context = multiprocessing.get_context("forkserver")
            context.set_forkserver_preload(["experiments.benchmark.peers.peer"])
            self._executor = ProcessPoolExecutor(size, context, initializer=_join, initargs=(context.Barrier(size),))

    def __enter__(self) -> TimedProcesses:
        self.run(_arrive)  # the executor notices the death of a process only once it has heard of all
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._executor is not None:
            self._executor.shutdown(cancel_futures=True)

    def run(self, function: Callable[Concatenate[int, P], T], *args: P.args, **kwargs: P.kwargs) -> list[T]:
        """What ``function(place, …)`` returns in each process; places are 0, 1, ….

        Raises
        ------
        UserError
            A process died.
        """
        if self._executor is None:
            return [function(0, *args, **kwargs)]
        parts = [partial(function, place, *args, **kwargs) for place in range(self.size)]
        futures = [self._executor.submit(_take_part, part) for part in parts]
        try:
            _raise_first_cause(futures)
        except BrokenProcessPool:
            raise UserError(
                f"bench: one of {self.size} measuring processes died; what it said stands above. If it said nothing, "
                "memory may have run out: use fewer cores with `taskset -c 0-1 walking-noise bench`"
            ) from None
        return [future.result() for future in futures]


def _arrive(place: int) -> None:
    wait_for_all()


def _join(barrier: Barrier) -> None:
    global _barrier
    _barrier = barrier


def _take_part(part: Callable[[], T]) -> T:
    try:
        return part()
    except BaseException:
        assert _barrier is not None
        _barrier.abort()
        raise


def _raise_first_cause(futures: list[Future[T]]) -> None:
    """Raise what went wrong in one process rather than that the others waited for it in vain."""
    errors = [error for future in futures if (error := future.exception()) is not None]
    causes = [error for error in errors if not isinstance(error, BrokenBarrierError)]
    for error in (*causes, *errors):
        raise error
