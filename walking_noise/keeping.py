"""What is kept of a pack while it trains, so that its work can be taken up where it was left."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence

import torch

from walking_noise.account import Account
from walking_noise.checkpoints import Checkpoints, CheckpointUnusable
from walking_noise.config import RunConfig
from walking_noise.trainee import Trainee
from walking_noise.trainees import Held, Trainees

log = logging.getLogger(__name__)


class Keeping:
    """Nothing is kept: every training starts anew."""

    def take_up(self, configs: Sequence[RunConfig]) -> list[Trainee]:
        """The trainings of these runs as they were left, or at their start."""
        return [Trainee(config) for config in configs]

    def epoch_ended(self, training: Trainees) -> None:
        """Called as each epoch of a pack ends, all there is to say of it being noted."""

    def foreseen(self, lost: Trainees) -> None:
        """Called with members whose remaining epochs were foreseen."""

    def write(self, keys: Collection[str] | None = None) -> None:
        """Write what is not written yet: of all members, or of those with these network keys."""


class KeepingCheckpoints(Keeping):
    """The members of a pack are written to checkpoints at ends of epochs, at most an interval apart.

    Between these the members are held as they were when their last epoch ended, to be written when the pack is stopped.
    Networks trained without noise may be trained by other processes, too, the first of which to end removes their
    checkpoints; these are written again.

    Parameters
    ----------
    account
        Told which epochs were taken up and which are kept.
    clock
        Seconds from any start.
    """

    def __init__(
        self,
        checkpoints: Checkpoints,
        device: torch.device,
        data_checksum: str,
        account: Account,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._checkpoints, self._origin, self._account = checkpoints, (device, data_checksum), account
        self._clock = clock
        self._tried = self._epoch_ended = clock()
        self._latest: list[Held] = []
        self._foreseen: list[Held] = []
        self._shared: list[RunConfig] = []

    def take_up(self, configs: Sequence[RunConfig]) -> list[Trainee]:
        """The trainings as their checkpoints have them; those that are of no use are named, with the reasons."""
        unusable: Counter[str] = Counter()
        trainees: list[Trainee] = []
        for config in configs:
            trainee = None
            try:
                trainee = self._checkpoints.load(config, *self._origin)
            except CheckpointUnusable as error:
                unusable[str(error)] += 1
            trainees.append(trainee or Trainee(config))
        for reason, count in unusable.items():
            log.warning(
                "checkpoints in %s not used, trainings started anew: %d of %d; %s",
                self._checkpoints.folder, count, len(configs), reason,
            )  # fmt: skip
        for one in trainees:
            self._account.note(one.config.network_key, done=one.epoch, resumed=one.epoch, kept=one.epoch)
        self._account.tell()
        self._note_shared([one for one in trainees if one.epoch])
        return trainees

    def epoch_ended(self, training: Trainees) -> None:
        """Hold the members; write them if the interval would be over before they have done another epoch."""
        began, self._epoch_ended = self._epoch_ended, self._clock()
        self._latest = []  # before others take their room
        self._latest = [training.held()]
        if training.epoch == training.members[0].epochs:
            return
        took = self._epoch_ended - began
        due = self._epoch_ended + took > self._tried + self._checkpoints.seconds
        if due or self._checkpoints.lack(self._shared):
            self._tried = self._epoch_ended
            self.write()

    def foreseen(self, lost: Trainees) -> None:
        """Hold members that are done before the others."""
        self._foreseen.append(lost.held())

    def write(self, keys: Collection[str] | None = None) -> None:
        """Write what is held: of all members, or of those with these network keys."""
        held = {one.config.network_key: one for cut_apart in (*self._latest, *self._foreseen) for one in cut_apart()}
        wanted = [one for key, one in held.items() if keys is None or key in keys]
        written = self._checkpoints.save(wanted, *self._origin) if wanted else []
        for one in written:
            self._account.note(one.config.network_key, kept=one.epoch)
        self._note_shared(written)
        if len(written) == len(wanted):
            self._latest, self._foreseen = [], []

    def _note_shared(self, kept: Sequence[Trainee]) -> None:
        self._shared = [one.config for one in kept if not one.config.noisy_training]
