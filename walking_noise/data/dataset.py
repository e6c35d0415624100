"""A data set in memory."""

from __future__ import annotations

import dataclasses
import hashlib
from functools import cache, cached_property

import torch
from torch import Tensor

from walking_noise.data.transform import Transform


@dataclasses.dataclass(frozen=True, eq=False)
class DataSet:
    """The samples and labels of a data set, as they are stored, and what makes the network's input of them.

    Attributes
    ----------
    transform
        What is done to the samples in every batch.
    train_samples, validation_samples
        (samples, …), contiguous: uint8 images (samples, channels, height, width), float32 features of that shape, or
        int16 waveforms (samples, length).
    train_labels, validation_labels
        int64 (samples,), in 0 … classes - 1.
    checksum
        BLAKE2b-128, in hex, of all that the samples and labels are made of (:func:`checksum`).
    class_weights
        float32 (classes,): the weight of each class in the loss; None: all classes weigh the same.
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
        """The most frequent class of the training set, the lowest of several."""
        return int(self.train_labels.bincount(minlength=self.classes).argmax())

    @cached_property
    def chance_accuracy(self) -> float:
        """Share of the validation set that is right if the answer is always :attr:`constant_answer`."""
        right = int((self.validation_labels == self.constant_answer).sum())
        return right / len(self.validation_labels)

    @cached_property
    def prepared_train_samples(self) -> Tensor:
        """The training samples in the form that the transform takes them from."""
        return self.transform.prepare(self.train_samples)

    def to(self, device: torch.device | str) -> DataSet:
        """The same data in the memory of ``device``; one object per device."""
        device = torch.empty(0, device=device).device
        return self if self.train_samples.device == device else _moved(self, device)


@cache
def _moved(data: DataSet, device: torch.device) -> DataSet:
    values = {field.name: getattr(data, field.name) for field in dataclasses.fields(data)}
    tensors = {name: value.to(device) for name, value in values.items() if isinstance(value, Tensor)}
    return dataclasses.replace(data, **{**values, **tensors})


def checksum(*tensors: Tensor) -> str:
    """BLAKE2b-128, in hex, over the tensors: of each its type and shape as text, then its content."""
    digest = hashlib.blake2b(digest_size=16)
    for tensor in tensors:
        digest.update(f"{tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.contiguous().numpy().data)
    return digest.hexdigest()
