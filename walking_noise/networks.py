"""Trained networks in a folder: shared between processes if trained without noise, and kept where a run asks for it."""

from __future__ import annotations

import hashlib
import io
import pickle
import tempfile
from dataclasses import asdict
from pathlib import Path

import torch

from walking_noise.config import RunConfig
from walking_noise.errors import WalkingNoiseError
from walking_noise.evaluation import Evaluation
from walking_noise.provenance import code_digest, device_kind
from walking_noise.trainee import Trained
from walking_noise.version import __version__
from walking_noise.whole_file import whole_file

CHECKSUM = 16
"""Bytes of the BLAKE2b checksum at the head of a file."""


class NetworkUnreadable(WalkingNoiseError):
    """The file of a network is not there, is damaged, or was written by another version."""


class Networks:
    """A folder of trained networks, by network key and by what trained them: this code, torch, the device, the data.

    Files appear whole or not at all; one that is damaged counts as absent, is trained anew and replaced.

    Parameters
    ----------
    device
        Its type counts: numbers are the same to the last bit on GPUs of one model only.
    data_checksum
        Of the data set as it is here: of recordings there may be a part only.
    """

    def __init__(self, folder: Path | str, device: torch.device, data_checksum: str) -> None:
        self.folder = Path(folder)
        made_by = f"{__version__} {code_digest()} {torch.__version__} {device_kind(device)} {data_checksum}"
        self._maker = hashlib.blake2b(made_by.encode(), digest_size=8).hexdigest()

    def name(self, config: RunConfig) -> str:
        """The name of the file of this run's network."""
        return f"{config.network_key}-{self._maker}.pt"

    def load(self, config: RunConfig) -> Trained | None:
        """The network of this training, if it is there and fits the run."""
        try:
            trained = read_network(self.folder / self.name(config))
        except NetworkUnreadable:
            return None
        if config.evaluation.curve and len(trained.evaluations) < config.training.epochs:
            return None
        return trained

    def save(self, config: RunConfig, trained: Trained) -> None:
        """Keep a network, for every later run with the same network key."""
        self.folder.mkdir(parents=True, exist_ok=True)
        content = io.BytesIO()
        torch.save(asdict(trained), content)
        checksum = hashlib.blake2b(content.getvalue(), digest_size=CHECKSUM).digest()
        with whole_file(self.folder / self.name(config)) as file:
            file.write(checksum + content.getvalue())


def why_unusable(folder: Path | str | None) -> str | None:
    """Why networks cannot be kept in ``folder``, in words; None if they can. It is made if it is not there."""
    if not folder:
        return "no folder of networks is given: networks= of train(), WALKING_NOISE_NETWORKS of a worker"
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        return f"networks cannot be stored in {folder}: {error.strerror}"
    return None


def read_network(file: Path) -> Trained:
    """The network in a file of :class:`Networks`; no code in it is executed.

    Raises
    ------
    NetworkUnreadable
        It is not there, is damaged, or was written by another version.
    """
    try:
        kept = file.read_bytes()
    except OSError as error:
        raise NetworkUnreadable(f"{file}: {error.strerror}") from None
    checksum, content = kept[:CHECKSUM], kept[CHECKSUM:]
    if hashlib.blake2b(content, digest_size=CHECKSUM).digest() != checksum:
        raise NetworkUnreadable(f"{file}: the file is damaged")
    try:
        fields = torch.load(io.BytesIO(content), weights_only=True)
        evaluations = [Evaluation(**evaluation) for evaluation in fields.pop("evaluations")]
        return Trained(evaluations=evaluations, **fields)
    except (pickle.UnpicklingError, TypeError, KeyError):
        raise NetworkUnreadable(f"{file}: the file was written by another version of walking_noise") from None


def networks_beside(file: Path, config: RunConfig) -> list[Path]:
    """The files of this run's network in the folder of another: what trained that one first, then the newest."""
    _, _, maker = file.stem.rpartition("-")

    def preference(other: Path) -> tuple[bool, float]:
        return other.stem.endswith(f"-{maker}"), other.stat().st_mtime

    return sorted(file.parent.glob(f"{config.network_key}-*.pt"), key=preference, reverse=True)
