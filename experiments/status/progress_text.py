"""How far a collection has come, in one line: how many runs are done, how fast, and how long the rest will take."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable

from experiments.database.connection import Document, Runs
from experiments.database.run_status import COMPLETED, FAILED, RUNNING
from experiments.terminal.progress_line import clock

SHARE = 0.05
"""Counting takes no more than this share of the time; on the embedded database it takes 0.2 ms a run."""

SOON = 0.1
"""The end is foretold once this share of the work is done; before, starting up counts too much."""


class CollectionProgress:
    """Counts the runs of a collection by status, now and then.

    Attributes
    ----------
    counts
        Runs by status when last counted.
    """

    def __init__(self, runs: Runs) -> None:
        self.runs = runs
        self.started = time.monotonic()
        self.count()
        self._done_before, self._work_before = self.counts[COMPLETED], self._work

    def count(self) -> None:
        """Count anew."""
        started = time.monotonic()
        key = {"status": "$status", "pack": "$claim.token"}
        group = {"_id": key, "count": {"$sum": 1}, "trained": {"$max": "$info.trained"}}
        groups = list(self.runs.aggregate([{"$group": group}]))
        self.counts = Counter[str]()
        for found in groups:
            self.counts[found["_id"]["status"]] += found["count"]
        self._work = _work(groups)
        self._next = time.monotonic() + (time.monotonic() - started) / SHARE

    def text(self) -> str:
        """Say how it goes; counts anew where that is due."""
        if time.monotonic() > self._next:
            self.count()
        minutes = (time.monotonic() - self.started) / 60
        text = f"{self.counts[COMPLETED]} of {self.counts.total()} runs done"
        if self.counts[FAILED]:
            text += f", {self.counts[FAILED]} failed"
        if self.new:
            text += f", {self.new / minutes:.0f} runs/min"
        worked = self._work - self._work_before
        if worked > SOON * (self.counts.total() - self._work_before):
            text += f", {clock(60 * minutes * (self.counts.total() - self._work) / worked)} left"
        return text

    @property
    def new(self) -> int:
        """Runs done since the beginning."""
        return self.counts[COMPLETED] - self._done_before


def _work(groups: Iterable[Document]) -> float:
    """Runs' worth of work done: finished runs, and of a pack in training the share its worker tells."""
    packs: dict[str | None, list[Document]] = {}
    for group in groups:
        packs.setdefault(group["_id"].get("pack"), []).append(group)
    work = 0.0
    for pack in packs.values():
        finished = sum(group["count"] for group in pack if group["_id"]["status"] in (COMPLETED, FAILED))
        running = [group for group in pack if group["_id"]["status"] == RUNNING]
        trained = max((group["trained"] or 0.0 for group in running), default=0.0)
        work += max(finished, trained * sum(group["count"] for group in pack))
    return work
