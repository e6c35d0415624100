"""Checkpoint store: a folder of checkpoints, one file per network, which processes share."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import torch

from walking_noise.atomic_file import atomic_write
from walking_noise.checkpoints.checkpoint_format import (
    CheckpointUnusable,
    decode_checkpoint,
    encode_checkpoint,
    read_header,
)
from walking_noise.config.run_config import RunConfig
from walking_noise.errors import refused
from walking_noise.training.member import Member

SUFFIX = ".checkpoint"
SECONDS = 600.0
"""Default interval between checkpoints."""

log = logging.getLogger(__name__)


class CheckpointStore:
    """Folder of checkpoints, one file per network key. Files are written atomically.

    ``seconds`` and ``quota`` are the options ``checkpoint_seconds`` and ``checkpoint_quota`` of
    :class:`walking_noise.runtime.train_runs.TrainOptions`.
    """

    def __init__(self, folder: Path | str, *, seconds: float = SECONDS, quota: int | None = None) -> None:
        if not seconds >= 0:
            raise refused("checkpoint_seconds", seconds, "allowed: a number >= 0")
        if quota is not None and quota < 0:
            raise refused("checkpoint_quota", quota, "allowed: a whole number of bytes >= 0")
        self.folder, self.seconds, self.quota = Path(folder), seconds, quota

    def file(self, config: RunConfig) -> Path:
        """Path of the checkpoint of this run's network; the file need not exist."""
        return self.folder / f"{config.network_key}{SUFFIX}"

    def load(self, config: RunConfig, device: torch.device, data_checksum: str) -> Member | None:
        """Read the member of a run from its checkpoint (:func:`decode_checkpoint`); None if there is none."""
        try:
            content = self.file(config).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise CheckpointUnusable(f"it cannot be read: {error.strerror or error}") from None
        member = decode_checkpoint(content, config, device, data_checksum)
        if config.evaluation.confusion and any(one.confusion is None for one in member.evaluations[-1:]):
            raise CheckpointUnusable("it has no confusion matrix, which this run records")
        if config.evaluation.curve and len(member.evaluations) < member.epoch:
            raise CheckpointUnusable("it has no validation curve, which this run records")
        return member

    def save(self, members: Iterable[Member], device: torch.device, data_checksum: str) -> list[Member]:
        """Write members to checkpoints. Return the members that are saved; log the failure to write others in one line.

        A checkpoint that another process has written at a later epoch is not replaced, and its member counts as saved.
        """
        written: list[Member] = []
        total = beyond_quota = 0
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            sizes = {} if self.quota is None else self._sizes()
            total = sum(sizes.values())
            for one in members:
                if self._has_later(one, device, data_checksum):
                    written.append(one)
                    continue
                file, content = self.file(one.config), encode_checkpoint(one, device, data_checksum)
                growth = len(content) - sizes.get(file.name, 0)
                if self.quota is not None and total + growth > self.quota:
                    beyond_quota += 1
                    continue
                with atomic_write(file) as stream:
                    stream.write(content)
                total += growth
                written.append(one)
        except OSError as error:  # the next interval tries again
            log.warning(
                "checkpoints cannot be written to %s: %s; training continues", self.folder, error.strerror or error
            )
        if beyond_quota:
            log.warning(
                "checkpoints not written: %d; %s already holds %d of at most %d bytes; training continues",
                beyond_quota, self.folder, total, self.quota,
            )  # fmt: skip
        return written

    def lacks_any(self, configs: Iterable[RunConfig]) -> bool:
        """Whether the checkpoint of at least one of these runs does not exist."""
        return not all(os.path.exists(self.file(config)) for config in configs)  # noqa: PTH110 - False on errors

    def discard(self, configs: Iterable[RunConfig]) -> None:
        """Remove the checkpoints of these runs. To be called when all their results are recorded."""
        for file in {self.file(config) for config in configs}:
            try:
                file.unlink(missing_ok=True)
            except OSError as error:
                log.warning(
                    "the checkpoint %s is no longer needed but cannot be removed: %s", file, error.strerror or error
                )

    def _has_later(self, member: Member, device: torch.device, data_checksum: str) -> bool:
        """Whether there is a usable checkpoint of this member at a later epoch."""
        try:
            if read_header(self.file(member.config)).epoch <= member.epoch:
                return False
            return self.load(member.config, device, data_checksum) is not None
        except CheckpointUnusable:
            return False

    def _sizes(self) -> dict[str, int]:
        """Sizes of all files in the folder in bytes, by name."""
        sizes: dict[str, int] = {}
        with os.scandir(self.folder) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):  # another process has just removed it
                    sizes[entry.name] = entry.stat().st_size
        return sizes
