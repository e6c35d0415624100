"""Networks trained without noise, shared between processes through a folder."""

from __future__ import annotations

import pickle
import tempfile
from dataclasses import asdict
from pathlib import Path

import torch

from walking_noise.config import RunConfig
from walking_noise.evaluation import Evaluation
from walking_noise.training import Trained
from walking_noise.version import __version__


class Networks:
    """A folder of trained networks by training key, version of this software and kind of device.

    Files appear whole or not at all; one that cannot be read counts as absent, is trained anew and replaced.
    """

    def __init__(self, folder: Path | str, device: torch.device) -> None:
        self.folder = Path(folder)
        self._device = device.type

    def load(self, config: RunConfig) -> Trained | None:
        """The network of this training, if it is there and fits the run."""
        try:
            content = torch.load(self._path(config), weights_only=True, map_location="cpu")
            evaluations = [Evaluation(**evaluation) for evaluation in content.pop("evaluations")]
            trained = Trained(evaluations=evaluations, **content)
        except (OSError, RuntimeError, EOFError, KeyError, TypeError, ValueError, pickle.UnpicklingError):
            return None
        if config.evaluation.curve and len(trained.evaluations) < config.training.epochs:
            return None
        return trained

    def save(self, config: RunConfig, trained: Trained) -> None:
        """Keep a network for every later run with the same training key."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=self.folder, suffix=".part", delete=False) as part:
            try:
                torch.save(asdict(trained), part)
                part.close()
                Path(part.name).replace(self._path(config))
            except BaseException:
                Path(part.name).unlink(missing_ok=True)
                raise

    def _path(self, config: RunConfig) -> Path:
        return self.folder / f"{config.training_key}-{__version__}-{self._device}.pt"
