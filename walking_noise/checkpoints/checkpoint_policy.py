"""Checkpoint policy: when the members of a pack are written to checkpoints, and how they are resumed."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence

import torch

from walking_noise.checkpoints.checkpoint_format import CheckpointUnusable
from walking_noise.checkpoints.checkpoint_store import CheckpointStore
from walking_noise.config.run_config import RunConfig
from walking_noise.training.callbacks import Snapshot, TrainingCallbacks
from walking_noise.training.epoch_counts import EpochCounter
from walking_noise.training.member import Member
from walking_noise.training.trainer import PackTrainer

log = logging.getLogger(__name__)


class CheckpointPolicy(TrainingCallbacks):
    """Writes the members of a pack to checkpoints at the end of an epoch, about once per interval of the store.

    In between, the policy keeps a snapshot of the last completed epoch in memory, and writes it if the pack is stopped.

    Several processes may train the same network without noise at the same time. The first one to finish removes its
    checkpoint, and the others then write it again. ``counter`` receives the numbers of resumed and saved epochs.
    """

    def __init__(
        self,
        store: CheckpointStore,
        device: torch.device,
        data_checksum: str,
        counter: EpochCounter,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store, self._origin, self._counter = store, (device, data_checksum), counter
        self._clock = clock
        self._last_write = self._last_epoch = clock()
        self._latest: list[Snapshot] = []
        self._fast_forwarded: list[Snapshot] = []
        self._shared: list[RunConfig] = []

    def resume(self, configs: Sequence[RunConfig]) -> list[Member]:
        """Return the members, resumed from checkpoints where possible. Log why a checkpoint cannot be used."""
        unusable: Counter[str] = Counter()
        members: list[Member] = []
        for config in configs:
            member = None
            try:
                member = self._store.load(config, *self._origin)
            except CheckpointUnusable as error:
                unusable[str(error)] += 1
            members.append(member or Member(config))
        for reason, count in unusable.items():
            log.warning(
                "starting %d of %d trainings from the beginning, each because its checkpoint in %s cannot be used: %s",
                count, len(configs), self._store.folder, reason,
            )  # fmt: skip
        for one in members:
            self._counter.update(one.config.network_key, done=one.epoch, resumed=one.epoch, kept=one.epoch)
        self._counter.report()
        self._note_shared([one for one in members if one.epoch])
        return members

    def epoch_ended(self, trainer: PackTrainer) -> None:
        """Take a snapshot. Write it if the interval is expected to end before the next epoch does."""
        previous, self._last_epoch = self._last_epoch, self._clock()
        self._latest = []  # free its memory before the next snapshot allocates it
        self._latest = [trainer.snapshot()]
        if trainer.epoch == trainer.members[0].epochs:
            return
        seconds = self._last_epoch - previous
        due = self._last_epoch + seconds > self._last_write + self._store.seconds
        if due or self._store.lacks_any(self._shared):
            self._last_write = self._last_epoch
            self.write()

    def fast_forwarded(self, trainer: PackTrainer) -> None:
        """Keep a snapshot of members that finish before the others."""
        self._fast_forwarded.append(trainer.snapshot())

    def write(self, keys: Collection[str] | None = None) -> None:
        """Write the snapshots of all members, or of those with these network keys."""
        members = {
            one.config.network_key: one for snapshot in (*self._latest, *self._fast_forwarded) for one in snapshot()
        }
        wanted = [one for key, one in members.items() if keys is None or key in keys]
        written = self._store.save(wanted, *self._origin) if wanted else []
        for one in written:
            self._counter.update(one.config.network_key, kept=one.epoch)
        self._note_shared(written)
        if len(written) == len(wanted):
            self._latest, self._fast_forwarded = [], []

    def _note_shared(self, saved: Sequence[Member]) -> None:
        """Remember the saved members whose checkpoints other processes may remove."""
        self._shared = [one.config for one in saved if one.config.shares_network]
