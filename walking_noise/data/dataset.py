"""A data set in memory."""

from __future__ import annotations

import dataclasses
import hashlib
from functools import cache, cached_property

import torch
from torch import Tensor
from torch.nn.functional import pad

from walking_noise.data.transform import Transform


@dataclasses.dataclass(frozen=True, eq=False)
class DataSet:
    """Images and labels of a data set, as they lie in its files, and what is done to them in every batch.

    Attributes
    ----------
    train_images, validation_images
        uint8 (samples, channels, height, width), contiguous.
    train_labels, validation_labels
        int64 (samples,), in 0 … classes - 1.
    checksum
        BLAKE2b-128, in hex, of the four tensors (:func:`checksum`).
    """

    name: str
    classes: int
    transform: Transform
    train_images: Tensor
    train_labels: Tensor
    validation_images: Tensor
    validation_labels: Tensor
    checksum: str

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of a sample."""
        _, channels, height, width = self.train_images.shape
        return channels, height, width

    @cached_property
    def constant_answer(self) -> int:
        """The most frequent class of the training set, the lowest of several."""
        return int(self.train_labels.bincount(minlength=self.classes).argmax())

    @cached_property
    def floor(self) -> float:
        """Share of the validation set that is right if the answer is always :attr:`constant_answer`."""
        right = int((self.validation_labels == self.constant_answer).sum())
        return right / len(self.validation_labels)

    @cached_property
    def padded_train_images(self) -> Tensor:
        """The training images in the black border they are cropped from."""
        border = self.transform.crop_padding
        return pad(self.train_images, (border,) * 4) if border else self.train_images

    def to(self, device: torch.device | str) -> DataSet:
        """The same data in the memory of ``device``; one object per device."""
        device = torch.empty(0, device=device).device
        return self if self.train_images.device == device else _moved(self, device)


@cache
def _moved(data: DataSet, device: torch.device) -> DataSet:
    tensors = ("train_images", "train_labels", "validation_images", "validation_labels")
    return dataclasses.replace(data, **{name: getattr(data, name).to(device) for name in tensors})


def checksum(*tensors: Tensor) -> str:
    """BLAKE2b-128, in hex, over the tensors: of each its type and shape as text, then its content."""
    digest = hashlib.blake2b(digest_size=16)
    for tensor in tensors:
        digest.update(f"{tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.contiguous().numpy().data)
    return digest.hexdigest()
