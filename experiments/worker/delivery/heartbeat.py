"""Heartbeat of a worker: the renewal of its leases and of its document in the history, at regular intervals."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from experiments.worker.leases import Leases
from experiments.worker.records.history import WorkerHistory

BEAT_SECONDS = 10.0
"""The shortest interval between two heartbeats, if the lease is long enough for it."""
BEATS_PER_LEASE = 4
"""For a short lease, the shortest interval is the lease divided by this number."""
BEAT_SHARE = 0.02
"""The largest share of the time that heartbeats may take. A slow database therefore gets fewer heartbeats."""
LONGEST_BEAT = 0.5
"""The longest interval between two heartbeats, as a share of a lease. It takes precedence over BEAT_SHARE."""


class Heartbeat:
    """Renewal of the leases of a worker's runs, and of the worker's document in the history.

    A heartbeat is a call of :meth:`renew_leases` and then of :meth:`update_history`, which schedules the next one.
    """

    def __init__(self, leases: Leases, history: WorkerHistory, clock: Callable[[], float]) -> None:
        self._leases, self._history, self._clock = leases, history, clock
        self._shortest_interval = min(BEAT_SECONDS, leases.lease_seconds / BEATS_PER_LEASE)
        self._next = clock() + self._shortest_interval
        self._started = 0.0

    def due(self, now: float) -> bool:
        """Whether a heartbeat is due at the time ``now`` of the clock."""
        return now > self._next

    def renew_leases(self, runs: Collection[int], trained: float) -> int:
        """Renew the leases of ``runs`` and write the trained share to their documents; return the number renewed."""
        self._started = self._clock()
        return self._leases.renew(runs, trained=trained) if runs else 0

    def update_history(self, numbers: Mapping[str, float]) -> None:
        """Write the worker's numbers to its document in the history, and schedule the next heartbeat."""
        self._history.update(numbers)
        pause = min((self._clock() - self._started) / BEAT_SHARE, self._leases.lease_seconds * LONGEST_BEAT)
        self._next = self._started + max(self._shortest_interval, pause)
