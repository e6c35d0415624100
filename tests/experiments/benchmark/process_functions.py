"""Functions that tests run in several processes; in a module, so that the processes can import them."""

from __future__ import annotations

import os

from experiments.benchmark.timed_processes import wait_for_all


def rank_and_process(rank: int, word: str) -> tuple[int, int, str]:
    wait_for_all()
    return rank, os.getpid(), word


def fail_at_one(rank: int) -> None:
    if rank == 1:
        raise ValueError("not here")
    wait_for_all()


def die_at_one(rank: int) -> None:
    if rank == 1:
        os._exit(9)
    wait_for_all()
