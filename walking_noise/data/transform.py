"""What is done to the samples of a data set between its memory and the network."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor


class Transform(Protocol):
    """How the stored samples of a data set become the network's input, on the device they lie on.

    What changes training samples by chance is drawn on the CPU for a whole epoch at a time, as a function of the
    run's seed, the epoch and the sample.
    """

    @property
    def augments(self) -> bool:
        """Whether training samples are changed by chance."""

    def draw(self, samples: int, generator: torch.Generator) -> Tensor:
        """One augmentation for every sample of a training set: (numbers, samples)."""

    def prepare(self, stored: Tensor) -> Tensor:
        """The training set, stored (n, …), in the form that :meth:`training_inputs` takes chosen samples from."""

    def training_inputs(self, prepared: Tensor, samples: Tensor, drawn: Tensor | None) -> Tensor:
        """The network's input for chosen training samples.

        Parameters
        ----------
        samples
            int64 (runs, batch), indices into the training set.
        drawn
            (runs, numbers, n): per run what :meth:`draw` returned; None if nothing is changed by chance.

        Returns
        -------
        Tensor
            float32 (runs, batch, channels, height, width), in memory of its own.
        """

    def validation_inputs(self, stored: Tensor) -> Tensor:
        """The network's input, float32 (n, channels, height, width), for stored validation samples (n, …)."""


def gather(stored: Tensor, samples: Tensor) -> Tensor:
    """Chosen samples (runs, batch) out of stored ones (n, …), as (runs, batch, …)."""
    return stored.index_select(0, samples.flatten()).view(*samples.shape, *stored.shape[1:])
