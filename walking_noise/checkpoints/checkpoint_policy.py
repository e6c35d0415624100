"""Checkpoint policy: when the members of a pack are written to checkpoints, and how they resume from them."""

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
    """Writes the members of a pack to checkpoints at ends of epochs, at most an interval apart.

    Between these times a snapshot of the last completed epoch is held, which is written when the pack is stopped.
    Networks trained without noise may be trained by several processes at once. The first to finish removes their
    checkpoints; the others write them again.

    Parameters
    ----------
    counter
        Updated with the epochs that were resumed and saved.
    clock
        Seconds since any start.
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
        """Return members from their checkpoints. Unusable checkpoints are logged with the reasons."""
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
                "checkpoints in %s not used, trainings started anew: %d of %d; %s",
                self._store.folder, count, len(configs), reason,
            )  # fmt: skip
        for one in members:
            self._counter.update(one.config.network_key, done=one.epoch, resumed=one.epoch, kept=one.epoch)
        self._counter.report()
        self._note_shared([one for one in members if one.epoch])
        return members

    def epoch_ended(self, trainer: PackTrainer) -> None:
        """Take a snapshot; write it if the interval would be over before the next epoch ends."""
        began, self._last_epoch = self._last_epoch, self._clock()
        self._latest = []  # free the memory before the next snapshot takes it
        self._latest = [trainer.snapshot()]
        if trainer.epoch == trainer.members[0].epochs:
            return
        seconds = self._last_epoch - began
        due = self._last_epoch + seconds > self._last_write + self._store.seconds
        if due or self._store.lacks_any(self._shared):
            self._last_write = self._last_epoch
            self.write()

    def fast_forwarded(self, trainer: PackTrainer) -> None:
        """Take a snapshot of members that finished before the others."""
        self._fast_forwarded.append(trainer.snapshot())

    def write(self, keys: Collection[str] | None = None) -> None:
        """Write the snapshots: of all members, or of those with these network keys."""
        held = {
            one.config.network_key: one for snapshot in (*self._latest, *self._fast_forwarded) for one in snapshot()
        }
        wanted = [one for key, one in held.items() if keys is None or key in keys]
        written = self._store.save(wanted, *self._origin) if wanted else []
        for one in written:
            self._counter.update(one.config.network_key, kept=one.epoch)
        self._note_shared(written)
        if len(written) == len(wanted):
            self._latest, self._fast_forwarded = [], []

    def _note_shared(self, saved: Sequence[Member]) -> None:
        self._shared = [one.config for one in saved if not one.config.noisy_training]
