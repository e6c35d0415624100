"""Transform from the stored samples of a data set to inputs of the network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class Transform(Protocol):
    """Transform from stored samples to inputs of the network, computed on the device of the samples.

    Random augmentations of training samples are drawn on the CPU for a whole epoch at a time, as functions of the seed
    of the run, the epoch and the sample.
    """

    @property
    def augments(self) -> bool:
        """Whether training samples are augmented at random."""

    def draw(self, samples: int, generator: torch.Generator) -> Tensor:
        """Draw one augmentation for every sample of a training set: (numbers, samples)."""

    def prepare(self, stored: Tensor) -> Tensor:
        """The stored training set (n, …) in the form that :meth:`training_inputs` expects."""

    def training_inputs(self, prepared: Tensor, samples: Tensor, drawn: Tensor | None) -> Tensor:
        """The inputs of the network for the given training samples.

        Parameters
        ----------
        prepared
            The training set, from :meth:`prepare`.
        samples
            int64 (runs, batch), indices into the training set.
        drawn
            (runs, numbers, n): for each run the augmentations from :meth:`draw`; None: no augmentation.

        Returns
        -------
        Tensor
            float32 (runs, batch, channels, height, width), in memory of its own.
        """

    def validation_inputs(self, stored: Tensor) -> Tensor:
        """The inputs of the network, float32 (n, channels, height, width), for stored validation samples (n, …)."""


def gather(stored: Tensor, samples: Tensor) -> Tensor:
    """The stored samples (n, …) with the indices ``samples`` (runs, batch), as (runs, batch, …)."""
    return stored.index_select(0, samples.flatten()).view(*samples.shape, *stored.shape[1:])
