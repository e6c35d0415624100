"""Networks trained without noise, shared between processes through a folder."""

from __future__ import annotations

import hashlib
import io
import tempfile
from dataclasses import asdict
from pathlib import Path

import torch

from walking_noise.config import RunConfig
from walking_noise.evaluation import Evaluation
from walking_noise.provenance import code_digest
from walking_noise.training import Trained
from walking_noise.version import __version__

CHECKSUM = 16
"""Bytes of the BLAKE2b checksum at the head of a file."""


class Networks:
    """A folder of trained networks, by training key and by what trained them: this code, torch, the kind of device.

    Files appear whole or not at all; one that is damaged counts as absent, is trained anew and replaced.
    """

    def __init__(self, folder: Path | str, device: torch.device) -> None:
        self.folder = Path(folder)
        self._device = device.type

    def load(self, config: RunConfig) -> Trained | None:
        """The network of this training, if it is there and fits the run."""
        try:
            kept = self._path(config).read_bytes()
        except OSError:
            return None
        checksum, content = kept[:CHECKSUM], kept[CHECKSUM:]
        if hashlib.blake2b(content, digest_size=CHECKSUM).digest() != checksum:
            return None
        fields = torch.load(io.BytesIO(content), weights_only=True)
        evaluations = [Evaluation(**evaluation) for evaluation in fields.pop("evaluations")]
        trained = Trained(evaluations=evaluations, **fields)
        if config.evaluation.curve and len(trained.evaluations) < config.training.epochs:
            return None
        return trained

    def save(self, config: RunConfig, trained: Trained) -> None:
        """Keep a network for every later run with the same training key."""
        self.folder.mkdir(parents=True, exist_ok=True)
        content = io.BytesIO()
        torch.save(asdict(trained), content)
        checksum = hashlib.blake2b(content.getvalue(), digest_size=CHECKSUM).digest()
        with tempfile.NamedTemporaryFile(dir=self.folder, suffix=".part", delete=False) as part:
            try:
                part.write(checksum + content.getvalue())
                part.close()
                Path(part.name).replace(self._path(config))
            except BaseException:
                Path(part.name).unlink(missing_ok=True)
                raise

    def _path(self, config: RunConfig) -> Path:
        made_by = f"{__version__} {code_digest()} {torch.__version__} {self._device}"
        return self.folder / f"{config.training_key}-{hashlib.blake2b(made_by.encode(), digest_size=8).hexdigest()}.pt"
