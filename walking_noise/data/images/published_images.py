"""Sets of images that are published as a few files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from walking_noise.data.data_files import Files
from walking_noise.data.data_source import Selection
from walking_noise.data.dataset import DataSet, checksum
from walking_noise.data.holdout import held_out
from walking_noise.data.images.image_transform import ImageTransform


class Splits(NamedTuple):
    """Images, uint8 (samples, channels, height, width), and labels, integers (samples,), of both splits."""

    train_images: NDArray[np.uint8]
    train_labels: NDArray[Any]
    validation_images: NDArray[np.uint8]
    validation_labels: NDArray[Any]


@dataclass(frozen=True, eq=False)
class PublishedImages:
    """A :class:`walking_noise.data.Source` of images in files of known content.

    Attributes
    ----------
    name
        Its value of ``data.name``.
    shape
        Channels, height and width of an image.
    classes
        How many there are.
    transforms
        What each value of ``data.transform`` stands for.
    sha256
        Per file the SHA-256 of its uncompressed content.
    folders
        Where the files may lie together, in the order of search: below the root of all data, or absolute.
    decode
        The official training and test split in the files.
    download
        Fetches the files into the first of ``folders`` below the root it is given. ``None``: there is only a
        package.
    package
        The command that installs a package with the files.
    """

    name: str
    shape: tuple[int, int, int]
    classes: int
    transforms: Mapping[str, ImageTransform]
    sha256: Mapping[str, str]
    folders: tuple[str | Path, ...]
    decode: Callable[[Files], Splits]
    download: Callable[[Path], None] | None = None
    package: str | None = None

    takes_keywords = False

    @property
    def downloaded(self) -> tuple[Path, ...]:
        """The files of a download, below the root of all data."""
        return tuple(Path(self.folders[0], name) for name in self.sha256)

    def count_classes(self, keywords: tuple[str, ...] | None) -> int:
        """The number of classes; images have no keywords."""
        return self.classes

    def place(self, root: Path) -> Files:
        """The files in the first folder that has all of them, or as they should be in the first folder."""
        candidates = [Files(root / folder, self.sha256) for folder in self.folders]
        return next((files for files in candidates if not files.missing), candidates[0])

    def read(self, folder: Path, selection: Selection) -> DataSet:
        """The data set in memory; transforms of one selection share it."""
        tensors, digest = _read(self, folder, selection.validation)
        return DataSet(self.name, self.classes, self.transforms[selection.transform], *tensors, digest)


@cache
def _read(source: PublishedImages, folder: Path, validation: str) -> tuple[tuple[Tensor, Tensor, Tensor, Tensor], str]:
    splits = source.decode(Files(folder, source.sha256))
    if validation == "holdout":
        splits = _without_test_split(splits)
    tensors = (
        torch.tensor(splits.train_images),
        torch.tensor(splits.train_labels, dtype=torch.int64),
        torch.tensor(splits.validation_images),
        torch.tensor(splits.validation_labels, dtype=torch.int64),
    )
    return tensors, checksum(*tensors)


def _without_test_split(splits: Splits) -> Splits:
    """The training split alone, a tenth of which validates."""
    images, labels, *_ = splits
    validating = held_out(images, labels)
    return Splits(images[~validating], labels[~validating], images[validating], labels[validating])


def torchvision_download(dataset: str, **split: Any) -> Callable[[Path], None]:
    """The downloader of a class of :mod:`torchvision.datasets`."""

    def download(root: Path) -> None:
        from torchvision import datasets

        getattr(datasets, dataset)(root, download=True, **split)

    return download
