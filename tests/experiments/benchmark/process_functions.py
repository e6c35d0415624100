"""What the processes of a crew run in tests; a module, so that they can import it."""

from __future__ import annotations

import os

from experiments.benchmark.process_group_timing import wait_for_all


def place_and_process(place: int, word: str) -> tuple[int, int, str]:
    wait_for_all()
    return place, os.getpid(), word


def fail_at_one(place: int) -> None:
    if place == 1:
        raise ValueError("not here")
    wait_for_all()


def die_at_one(place: int) -> None:
    if place == 1:
        os._exit(9)
    wait_for_all()
