"""From stored speech to the network's input: features computed once, or from waveforms in every batch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from walking_noise.data.speech.background import Background
from walking_noise.data.speech.mfcc import features, scaled
from walking_noise.data.transform import gather


class StoredFeatures:
    """Features (n, 1, 10, 49), which are the network's input as they are."""

    augments = False

    def draw(self, samples: int, generator: torch.Generator) -> Tensor:
        """Nothing, (0, samples)."""
        return torch.empty(0, samples)

    def prepare(self, stored: Tensor) -> Tensor:
        """The features themselves."""
        return stored

    def training_inputs(self, prepared: Tensor, samples: Tensor, drawn: Tensor | None) -> Tensor:
        """The features of chosen samples (runs, batch)."""
        return gather(prepared, samples)

    def validation_inputs(self, stored: Tensor) -> Tensor:
        """A copy of the features."""
        return stored.clone()


@dataclass(frozen=True, eq=False)
class FreshNoise(StoredFeatures):
    """Training clips, stored as waveforms, with background noise that is drawn anew in every epoch of every run."""

    background: Background
    augments = True

    def draw(self, samples: int, generator: torch.Generator) -> Tensor:
        """Background noise for every sample: see :meth:`Background.draw`."""
        return self.background.draw(samples, generator)

    def training_inputs(self, prepared: Tensor, samples: Tensor, drawn: Tensor | None) -> Tensor:
        """The features of chosen clips (runs, batch), mixed with noise.

        Run by run: a product of matrices may round otherwise for more rows, and a run's must not depend on others.
        """
        assert drawn is not None
        inputs = [
            features(self.background.mix(scaled(prepared.index_select(0, chosen)), noise[:, chosen]))
            for chosen, noise in zip(samples, drawn, strict=True)
        ]
        return torch.stack(inputs)
