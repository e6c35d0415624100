"""Data set in memory."""

from __future__ import annotations

import dataclasses
import hashlib
from functools import cache, cached_property
from typing import TYPE_CHECKING

from walking_noise.data.transform import Transform

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclasses.dataclass(frozen=True, eq=False)
class DataSet:
    """The stored samples and labels of a data set, and the transform from samples to inputs of the network.

    Attributes
    ----------
    transform
        Applied to the samples of every batch.
    train_samples, validation_samples
        (samples, …), contiguous: uint8 images (samples, channels, height, width), float32 features of that shape, or
        int16 waveforms (samples, length).
    train_labels, validation_labels
        int64 (samples,), in 0 … classes - 1.
    checksum
        BLAKE2b-128, in hex, of the data that determine samples and labels (:func:`checksum`).
    class_weights
        float32 (classes,): the weight of each class in the loss; None: equal weights.
    """

    name: str
    classes: int
    transform: Transform
    train_samples: Tensor
    train_labels: Tensor
    validation_samples: Tensor
    validation_labels: Tensor
    checksum: str
    class_weights: Tensor | None = None

    @cached_property
    def constant_answer(self) -> int:
        """The most frequent class of the training set; the lowest one if several are equally frequent."""
        return int(self.train_labels.bincount(minlength=self.classes).argmax())

    @cached_property
    def chance_accuracy(self) -> float:
        """Accuracy on the validation set of a classifier that always returns :attr:`constant_answer`."""
        correct = int((self.validation_labels == self.constant_answer).sum())
        return correct / len(self.validation_labels)

    @cached_property
    def prepared_train_samples(self) -> Tensor:
        """The training samples after :meth:`Transform.prepare`."""
        return self.transform.prepare(self.train_samples)

    def to(self, device: torch.device | str) -> DataSet:
        """The same data set on ``device``; repeated calls return the same object."""
        import torch

        device = torch.empty(0, device=device).device
        return self if self.train_samples.device == device else _copy_to(self, device)


@cache
def _copy_to(data: DataSet, device: torch.device) -> DataSet:
    from torch import Tensor

    values = {field.name: getattr(data, field.name) for field in dataclasses.fields(data)}
    tensors = {name: value.to(device) for name, value in values.items() if isinstance(value, Tensor)}
    return dataclasses.replace(data, **{**values, **tensors})


def checksum(*tensors: Tensor) -> str:
    """BLAKE2b-128, in hex, over the tensors: for each its type and shape as text, then its content."""
    digest = hashlib.blake2b(digest_size=16)
    for tensor in tensors:
        digest.update(f"{tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.contiguous().numpy().data)
    return digest.hexdigest()
