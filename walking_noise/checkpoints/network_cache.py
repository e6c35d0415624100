"""Cache of trained networks: those trained without noise, which processes share, and those that runs keep."""

from __future__ import annotations

import hashlib
import io
import pickle
from dataclasses import asdict
from pathlib import Path

import torch

from walking_noise.atomic_file import atomic_write, check_writable
from walking_noise.checkpoints.code_digest import code_digest
from walking_noise.checkpoints.layer_choices import in_words, layer_choices
from walking_noise.checkpoints.provenance import device_kind
from walking_noise.config.run_config import RunConfig
from walking_noise.errors import WalkingNoiseError
from walking_noise.evaluation.evaluator import Evaluation
from walking_noise.training.member import TrainedNetwork
from walking_noise.version import __version__

CHECKSUM = 16
"""Bytes of the BLAKE2b checksum that begins a file."""


class NetworkUnreadable(WalkingNoiseError):
    """The file of a network cannot be read, is damaged, or was written by another version."""


class NetworkCache:
    """Folder of trained networks. A file name consists of the network key and the origin: code, torch, device, data.

    Files are written atomically. A damaged file counts as missing: the network is trained again and replaces it. Only
    the type of the device is part of the origin, and on a GPU the alternatives that are chosen for the layers: results
    are bitwise equal on GPUs of the same model. The checksum is that of the data set on this machine, which may have
    only a part of the recordings of a speech data set.
    """

    def __init__(self, folder: Path | str, device: torch.device, data_checksum: str) -> None:
        self.folder = Path(folder)
        self._device, self._data_checksum = device, data_checksum

    def name(self, config: RunConfig) -> str:
        """File name of this run's network."""
        device, layers = device_kind(self._device), layer_choices(config, self._device)
        origin = f"{__version__} {code_digest(config)} {torch.__version__} {device} {self._data_checksum}"
        if layers:
            origin += f" {in_words(layers)}"
        return f"{config.network_key}-{hashlib.blake2b(origin.encode(), digest_size=8).hexdigest()}.pt"

    def load(self, config: RunConfig) -> TrainedNetwork | None:
        """Read the network of this run; None if it is missing, unreadable, or lacks what the run records."""
        try:
            trained = read_network(self.folder / self.name(config))
        except NetworkUnreadable:
            return None
        if config.evaluation.curve and len(trained.evaluations) < config.training.epochs:
            return None
        if config.evaluation.confusion and trained.evaluations[-1].confusion is None:
            return None
        return trained

    def save(self, config: RunConfig, trained: TrainedNetwork) -> None:
        """Store a network for later runs with the same network key."""
        self.folder.mkdir(parents=True, exist_ok=True)
        content = io.BytesIO()
        torch.save(asdict(trained), content)
        checksum = hashlib.blake2b(content.getvalue(), digest_size=CHECKSUM).digest()
        with atomic_write(self.folder / self.name(config)) as file:
            file.write(checksum + content.getvalue())


def why_folder_unusable(folder: Path | str | None) -> str | None:
    """The reason why networks cannot be stored in ``folder``; None if they can. A missing folder is created."""
    if not folder:
        return "no folder for networks is set; pass networks= to train(), or set WALKING_NOISE_NETWORKS for a worker"
    try:
        check_writable(Path(folder))
    except OSError as error:
        return f"networks cannot be stored in {folder}: {error.strerror}"
    return None


def read_network(file: Path) -> TrainedNetwork:
    """Read a network from a file of :class:`NetworkCache`. Reading executes no code.

    Raise :class:`NetworkUnreadable` if the file cannot be read, is damaged, or was written by another version.
    """
    try:
        stored = file.read_bytes()
    except OSError as error:
        raise NetworkUnreadable(f"{file}: {error.strerror}") from None
    checksum, content = stored[:CHECKSUM], stored[CHECKSUM:]
    if hashlib.blake2b(content, digest_size=CHECKSUM).digest() != checksum:
        raise NetworkUnreadable(f"{file}: the file is damaged")
    try:
        fields = torch.load(io.BytesIO(content), weights_only=True)
        evaluations = [Evaluation(**evaluation) for evaluation in fields.pop("evaluations")]
        return TrainedNetwork(evaluations=evaluations, **fields)
    except (pickle.UnpicklingError, TypeError, KeyError):
        raise NetworkUnreadable(f"{file}: the file was written by another version of walking_noise") from None


def cached_networks_beside(file: Path, config: RunConfig) -> list[Path]:
    """Files of this run's network in the folder of ``file``: those of the same origin first, then newest first."""
    _, _, origin = file.stem.rpartition("-")

    def preference(other: Path) -> tuple[bool, float]:
        return other.stem.endswith(f"-{origin}"), other.stat().st_mtime

    return sorted(file.parent.glob(f"{config.network_key}-*.pt"), key=preference, reverse=True)
