"""Processes that measure at the same time, like the processes of a worker that train on the cores of a CPU."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.synchronize import Barrier
from typing import Any, TypeVar

from experiments.errors import UserError

T = TypeVar("T")
BARRIER_TIMEOUT = 600.0
"""Seconds that a process waits for the others."""

_barrier: Barrier | None = None


def wait_for_all() -> None:
    """Wait until all processes have called this function; a single process does not wait."""
    if _barrier is not None:
        _barrier.wait(BARRIER_TIMEOUT)


def run_at_the_same_time(processes: int, function: Callable[..., T], *args: Any) -> list[T]:
    """Return what ``function(rank, …)`` returns in each of several processes, with the ranks 0, 1, ….

    A single process is the calling one. The function must call :func:`wait_for_all` at least once. Otherwise a fast
    process could run the function twice, and another one not at all. Raise :class:`UserError` if a process has died.
    """
    if processes == 1:
        return [function(0, *args)]
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["experiments.benchmark.pack_rates"])
    barrier = context.Barrier(processes)
    with ProcessPoolExecutor(processes, context, initializer=_set_barrier, initargs=(barrier,)) as executor:
        try:
            # the executor notices the death of a process only after it has started all of them
            wait([executor.submit(wait_for_all) for _ in range(processes)])
            futures = [executor.submit(function, rank, *args) for rank in range(processes)]
            for future in as_completed(futures):
                future.result()
        except BrokenProcessPool:
            raise UserError(
                f"bench: one of {processes} measuring processes died; see its output above. If there is none, "
                "memory may have run out: use fewer cores with `taskset -c 0-1 walking-noise bench`"
            ) from None
        except Exception:
            barrier.abort()  # releases the processes that wait for the failed one
            raise
        return [future.result() for future in futures]


def _set_barrier(barrier: Barrier) -> None:
    global _barrier
    _barrier = barrier
