"""Checkpoints: trainings as they stood at the end of an epoch, one file each, in a folder that processes share."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import torch

from walking_noise.checkpoint_file import CheckpointUnusable, Header, file_content, read_header, training_in
from walking_noise.config import RunConfig
from walking_noise.errors import refused
from walking_noise.trainee import Trainee
from walking_noise.whole_file import whole_file

__all__ = ["SECONDS", "SUFFIX", "CheckpointUnusable", "Checkpoints", "Header", "read_header"]

SUFFIX = ".checkpoint"
SECONDS = 600.0
"""Default of the most time of work that is lost."""

log = logging.getLogger(__name__)


class Checkpoints:
    """A folder of checkpoints, named by network key. Files appear whole or not at all.

    Parameters
    ----------
    seconds
        The most time of work that is lost when a process is killed, or an epoch where that takes longer.
    quota
        Bytes in the folder beyond which nothing more is written to it; None: no limit.
    """

    def __init__(self, folder: Path | str, *, seconds: float = SECONDS, quota: int | None = None) -> None:
        if not seconds >= 0:
            raise refused("checkpoint_seconds", seconds, "allowed is a number >= 0")
        if quota is not None and quota < 0:
            raise refused("checkpoint_quota", quota, "allowed is a whole number of bytes >= 0")
        self.folder, self.seconds, self.quota = Path(folder), seconds, quota

    def file(self, config: RunConfig) -> Path:
        """Where the checkpoint of this run's network is, if there is one."""
        return self.folder / f"{config.network_key}{SUFFIX}"

    def load(self, config: RunConfig, device: torch.device, data_checksum: str) -> Trainee | None:
        """The training as it was kept; None if it was not.

        Raises
        ------
        CheckpointUnusable
            It is damaged, or of other settings, another version, device or data set.
        """
        try:
            kept = self.file(config).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise CheckpointUnusable(f"it cannot be read: {error.strerror or error}") from None
        trainee = training_in(kept, config, device, data_checksum)
        if config.evaluation.curve and len(trainee.evaluations) < trainee.epoch:
            raise CheckpointUnusable("it lacks the validation curve, which is asked for now")
        return trainee

    def save(self, trainees: Iterable[Trainee], device: torch.device, data_checksum: str) -> list[Trainee]:
        """Keep trainings as they stand; return those that are kept now. What cannot be written is said in one line.

        One that another process has kept at a later epoch is left to that one.
        """
        written: list[Trainee] = []
        total = beyond_quota = 0
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            sizes = {} if self.quota is None else self._sizes()
            total = sum(sizes.values())
            for one in trainees:
                if self._holds_later(one, device, data_checksum):
                    written.append(one)
                    continue
                file, content = self.file(one.config), file_content(one, device, data_checksum)
                growth = len(content) - sizes.get(file.name, 0)
                if self.quota is not None and total + growth > self.quota:
                    beyond_quota += 1
                    continue
                with whole_file(file) as opened:
                    opened.write(content)
                total += growth
                written.append(one)
        except OSError as error:  # the next attempt is at the next interval
            log.warning(
                "checkpoints cannot be written to %s: %s; training goes on", self.folder, error.strerror or error
            )
        if beyond_quota:
            log.warning(
                "%d checkpoints were not written to %s, which holds %d of the %d bytes it may; training goes on",
                beyond_quota, self.folder, total, self.quota,
            )  # fmt: skip
        return written

    def lack(self, configs: Iterable[RunConfig]) -> bool:
        """Whether the checkpoint of any of these runs is not there."""
        return not all(os.path.exists(self.file(config)) for config in configs)  # noqa: PTH110 - False if it fails

    def discard(self, configs: Iterable[RunConfig]) -> None:
        """Remove the checkpoints of trainings that are not needed any more: all results of theirs are safe."""
        for file in {self.file(config) for config in configs}:
            try:
                file.unlink(missing_ok=True)
            except OSError as error:
                log.warning("the checkpoint %s is not needed and cannot be removed: %s", file, error.strerror or error)

    def _holds_later(self, trainee: Trainee, device: torch.device, data_checksum: str) -> bool:
        try:
            if read_header(self.file(trainee.config)).epoch <= trainee.epoch:
                return False
            return self.load(trainee.config, device, data_checksum) is not None
        except CheckpointUnusable:
            return False

    def _sizes(self) -> dict[str, int]:
        sizes: dict[str, int] = {}
        with os.scandir(self.folder) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):  # another process has just removed it
                    sizes[entry.name] = entry.stat().st_size
        return sizes
