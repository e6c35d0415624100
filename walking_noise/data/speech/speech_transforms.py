"""Transforms of speech: features stored in advance, or computed from waveforms in every batch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from walking_noise.data.speech.background import Background
from walking_noise.data.speech.mfcc import features, scaled
from walking_noise.data.transform import gather


class StoredFeatures:
    """Transform of stored features (n, 1, 10, 49), which are the inputs of the network without changes."""

    augments = False

    def draw(self, samples: int, generator: torch.Generator) -> Tensor:
        return torch.empty(0, samples)

    def prepare(self, stored: Tensor) -> Tensor:
        return stored

    def training_inputs(self, prepared: Tensor, samples: Tensor, drawn: Tensor | None) -> Tensor:
        return gather(prepared, samples)

    def validation_inputs(self, stored: Tensor) -> Tensor:
        return stored.clone()


@dataclass(frozen=True, eq=False)
class FreshNoise(StoredFeatures):
    """Transform of stored waveforms to features, with background noise drawn in every epoch of every run."""

    background: Background
    augments = True

    def draw(self, samples: int, generator: torch.Generator) -> Tensor:
        return self.background.draw(samples, generator)

    def training_inputs(self, prepared: Tensor, samples: Tensor, drawn: Tensor | None) -> Tensor:
        """The features of the clips with the given indices (runs, batch), mixed with noise.

        They are computed run by run, since the rounding of a matrix product can depend on its number of rows, and the
        inputs of a run must not depend on other runs.
        """
        assert drawn is not None
        inputs = [
            features(self.background.mix(scaled(prepared.index_select(0, indices)), noise[:, indices]))
            for indices, noise in zip(samples, drawn, strict=True)
        ]
        return torch.stack(inputs)
