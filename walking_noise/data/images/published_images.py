"""Image data sets published as a few files with known checksums."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from walking_noise.data.data_files import Files
from walking_noise.data.dataset import DataSet, checksum
from walking_noise.data.holdout import held_out
from walking_noise.data.images.image_transform import ImageTransform

if TYPE_CHECKING:
    from torch import Tensor


class Splits(NamedTuple):
    """Images, uint8 (samples, channels, height, width), and labels, integers (samples,), of the official splits."""

    train_images: NDArray[np.uint8]
    train_labels: NDArray[Any]
    validation_images: NDArray[np.uint8]
    validation_labels: NDArray[Any]


@dataclass(frozen=True, eq=False)
class PublishedImages:
    """Data set of images in files with known checksums.

    ``folders`` can contain all files; they are searched in this order, and are relative to the root folder of all data
    sets, or absolute. ``download`` downloads the files into the first of them below the given root folder; without it
    the files come only with a package.
    """

    name: str  # the value of ``data.name`` that selects this data set
    shape: tuple[int, int, int]  # channels, height and width of an image
    classes: int
    transforms: Mapping[str, ImageTransform]  # by value of ``data.transform``
    sha256: Mapping[str, str]  # of the uncompressed content, in hex, by file name
    folders: tuple[str | Path, ...]
    decode: Callable[[Files], Splits]  # returns the official training and test split from the files
    download: Callable[[Path], None] | None = None
    package: str | None = None  # the command that installs a package with the files

    takes_keywords = False

    @property
    def downloaded(self) -> tuple[Path, ...]:
        """The files of a download, relative to the root folder of all data sets."""
        return tuple(Path(self.folders[0], name) for name in self.sha256)

    def count_classes(self, keywords: tuple[str, ...] | None) -> int:
        """The number of classes; images have no keywords."""
        return self.classes

    def locate(self, root: Path) -> Files:
        """The files in the first folder that contains all of them; otherwise in the first of all folders."""
        candidates = [Files(root / folder, self.sha256) for folder in self.folders]
        return next((files for files in candidates if not files.missing), candidates[0])

    def read(self, folder: Path, transform: str, validation: str, keywords: tuple[str, ...] | None) -> DataSet:
        """The data set in memory; data sets that differ only in the transform share their tensors."""
        tensors, digest = _read(self, folder, validation)
        return DataSet(self.name, self.classes, self.transforms[transform], *tensors, digest)


@cache
def _read(source: PublishedImages, folder: Path, validation: str) -> tuple[tuple[Tensor, Tensor, Tensor, Tensor], str]:
    """The tensors of a :class:`DataSet` in the order of its fields, and their checksum."""
    import torch

    splits = source.decode(Files(folder, source.sha256))
    if validation == "holdout":
        splits = _holdout_splits(splits)
    tensors = (
        torch.tensor(splits.train_images),
        torch.tensor(splits.train_labels, dtype=torch.int64),
        torch.tensor(splits.validation_images),
        torch.tensor(splits.validation_labels, dtype=torch.int64),
    )
    return tensors, checksum(*tensors)


def _holdout_splits(splits: Splits) -> Splits:
    """The official training split, of which a tenth becomes the validation set; the test split is not used."""
    images, labels, *_ = splits
    held = held_out(images, labels)
    return Splits(images[~held], labels[~held], images[held], labels[held])


def torchvision_download(dataset: str, **split: Any) -> Callable[[Path], None]:
    """A function that downloads a class of :mod:`torchvision.datasets` into a folder."""

    def download(root: Path) -> None:
        from torchvision import datasets

        getattr(datasets, dataset)(root, download=True, **split)

    return download
