"""Limit of a worker's packs, which it or an earlier worker has learned when memory ran out."""

from __future__ import annotations

import contextlib
from collections.abc import Collection

import pymongo
import torch
from pymongo.errors import PyMongoError

from experiments.database.connection import Runs
from experiments.worker.records.study_record import limit_pack, pack_limit
from walking_noise import RunConfig
from walking_noise.checkpoints.provenance import device_kind
from walking_noise.runtime.sizing.capacity import default_device, training_pack_size, worker_processes
from walking_noise.runtime.sizing.memory_limits import TRAINED, MemoryLimits


class PackLimit:
    """Limit of the packs of runs like ``config`` on a device; ``size`` is None if no pack has run out of memory."""

    def __init__(self, runs: Runs, config: RunConfig, device: torch.device | None) -> None:
        self.runs, self.config, self.device = runs, config, device or default_device()
        self.key, self.kind = config.pack_key, device_kind(self.device)
        self.size = pack_limit(runs.database, runs.name, self.key, self.kind)
        self.learned = MemoryLimits({self.key: self.size} if self.size else {})

    def pack_of(self, configs: Collection[RunConfig]) -> dict[str, str | int]:
        """Key and size of the packs in which these runs are trained, for the history of the worker."""
        networks = len({config.network_key for config in configs})
        share = -(-networks // worker_processes(self.device))
        return {"key": self.key, "size": self._largest(share)}

    def remember(self, seconds: float) -> None:
        """Store a limit that training has learned. An unreachable database, after ``seconds``, is no error."""
        size = self.learned.limit(TRAINED, self.key, self._largest())
        if size < self._largest():
            with contextlib.suppress(PyMongoError), pymongo.timeout(seconds):
                limit_pack(self.runs.database, self.runs.name, self.key, self.kind, size)

    def _largest(self, networks: int | None = None) -> int:
        size = self.size or training_pack_size(self.config, self.device)
        return size if networks is None else min(size, networks)
