"""Progress of a collection in one line: runs done, runs per minute, time left."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable

from experiments.database.connection import Document, Runs
from experiments.database.run_status import COMPLETED, FAILED, RUNNING
from experiments.terminal.progress_line import clock

MAX_QUERY_SHARE = 0.05
"""Largest share of the time that may be spent on counting; on the embedded database counting takes 0.2 ms per run."""

MIN_WORK_FOR_ESTIMATE = 0.1
"""Share of the work that must be done before the time left is shown; earlier, the start-up weighs too much."""


class CollectionProgress:
    """Progress of a collection since this object was made; it counts the runs again at intervals.

    Attributes
    ----------
    counts
        Number of runs by status at the last count.
    """

    def __init__(self, runs: Runs) -> None:
        self.runs = runs
        self.started = time.monotonic()
        self.count()
        self._initially_completed, self._initial_work = self.counts[COMPLETED], self._work

    def count(self) -> None:
        """Count the runs again."""
        started = time.monotonic()
        key = {"status": "$status", "pack": "$claim.token"}
        group = {"_id": key, "count": {"$sum": 1}, "trained": {"$max": "$info.trained"}}
        groups = list(self.runs.aggregate([{"$group": group}]))
        self.counts = Counter[str]()
        for one in groups:
            self.counts[one["_id"]["status"]] += one["count"]
        self._work = _work(groups)
        self._next = time.monotonic() + (time.monotonic() - started) / MAX_QUERY_SHARE

    def text(self) -> str:
        """The progress in one line; counts again if the last count is old enough."""
        if time.monotonic() > self._next:
            self.count()
        minutes = (time.monotonic() - self.started) / 60
        text = f"{self.counts[COMPLETED]} of {self.counts.total()} runs done"
        if self.counts[FAILED]:
            text += f", {self.counts[FAILED]} failed"
        if self.new:
            text += f", {self.new / minutes:.0f} runs/min"
        work = self._work - self._initial_work
        if work > MIN_WORK_FOR_ESTIMATE * (self.counts.total() - self._initial_work):
            text += f", {clock(60 * minutes * (self.counts.total() - self._work) / work)} left"
        return text

    @property
    def new(self) -> int:
        """Number of runs completed since this object was made."""
        return self.counts[COMPLETED] - self._initially_completed


def _work(groups: Iterable[Document]) -> float:
    """Work done, in runs: a finished run counts as 1, a run in training as the share that its worker reports.

    ``groups``: number of runs and largest reported share, by status and pack.
    """
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
