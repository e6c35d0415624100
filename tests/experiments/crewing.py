"""What the processes of a crew run in tests; a module, so that they can import it."""

from __future__ import annotations

import os

from experiments.benchmarking.crew import meet


def place_and_process(place: int, word: str) -> tuple[int, int, str]:
    meet()
    return place, os.getpid(), word


def fail_at_one(place: int) -> None:
    if place == 1:
        raise ValueError("not here")
    meet()


def die_at_one(place: int) -> None:
    if place == 1:
        os._exit(9)
    meet()
