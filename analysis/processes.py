"""Processes that share work: forks of this process, which inherit its objects without copying them."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import traceback
import warnings
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

T = TypeVar("T")


def usable_cores() -> int:
    """Number of cores that this process may use. On systems other than Linux one, since forks are not safe there."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1


def shared_out(call: Callable[[int], T], count: int, processes: int) -> Iterator[tuple[int, T]]:
    """Yield every number below ``count`` with the result of ``call``, in the order in which processes finish them.

    The processes start at once, before the first result is asked for. With one process, all calls are made here.

    Raises
    ------
    Exception
        The exception of a call, with the traceback of its process as a note.
    ChildProcessError
        A process was killed, for example because the memory is full.
    """
    processes = min(processes, count)
    if processes <= 1:
        return ((number, call(number)) for number in range(count))
    context = multiprocessing.get_context("fork")
    taken = context.Value("i", 0)
    workers: dict[Connection, BaseProcess] = {}
    gc.collect()
    gc.freeze()  # the forks do not touch, and so do not copy, the memory of what exists now
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of threads; those of BLAS are idle
            for _ in range(processes):
                results, send = context.Pipe(duplex=False)
                workers[results] = context.Process(target=_work, args=(call, count, taken, send), daemon=True)
                workers[results].start()
                send.close()
    except BaseException:
        _end(workers)
        raise
    finally:
        gc.unfreeze()
    return _collected(workers)


def _collected(workers: dict[Connection, BaseProcess]) -> Iterator[tuple[int, Any]]:
    running = set(workers)
    try:
        while running:
            for results in wait(list(running)):
                assert isinstance(results, Connection)
                try:
                    number, result, error = results.recv()
                except EOFError:
                    workers[results].join()
                    raise ChildProcessError(
                        f"a process ended with exit code {workers[results].exitcode} (-9: killed, for example because "
                        "the memory is full)"
                    ) from None
                if error is not None:
                    raise error
                if number is None:
                    running.remove(results)
                else:
                    yield number, result
    finally:
        _end(workers)


def _end(workers: dict[Connection, BaseProcess]) -> None:
    for results, process in workers.items():
        process.terminate()
        process.join()
        results.close()


def _work(call: Callable[[int], object], count: int, taken: Any, send: Connection) -> None:
    """Make calls and send their results, until none is left. A KeyboardInterrupt is left to the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        while True:
            with taken.get_lock():
                number, taken.value = taken.value, taken.value + 1
            if number >= count:
                break
            send.send((number, call(number), None))
        send.send((None, None, None))
    except Exception as error:
        error.add_note(traceback.format_exc())
        send.send((None, None, error))
