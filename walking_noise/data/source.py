"""What a data set declares about itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from walking_noise.data.files import Files
from walking_noise.data.transform import Transform


class Splits(NamedTuple):
    """Images, uint8 (samples, channels, height, width), and labels, integers (samples,), of both splits."""

    train_images: NDArray[np.uint8]
    train_labels: NDArray[Any]
    validation_images: NDArray[np.uint8]
    validation_labels: NDArray[Any]


@dataclass(frozen=True)
class Source:
    """A data set by name: what it looks like, where its files lie, how they are read and had.

    Attributes
    ----------
    name
        Its value of ``data.name``.
    shape
        Channels, height and width of a sample.
    transforms
        What each value of ``data.transform`` stands for.
    sha256
        Per file the SHA-256 of its uncompressed content.
    folders
        Where the files may lie together, in the order of search: below the root of all data, or absolute.
    read
        Decodes the files.
    download
        Fetches the files into the first of ``folders`` below the root it is given. ``None``: there is only a
        package.
    package
        The command that installs a package with the files.
    """

    name: str
    shape: tuple[int, int, int]
    classes: int
    transforms: Mapping[str, Transform]
    sha256: Mapping[str, str]
    folders: tuple[str | Path, ...]
    read: Callable[[Files], Splits]
    download: Callable[[Path], None] | None = None
    package: str | None = None

    def files(self, root: Path) -> Files:
        """The files in the first folder that has all of them, or as they should be in the first folder."""
        candidates = [Files(root / folder, self.sha256) for folder in self.folders]
        return next((files for files in candidates if not files.missing), candidates[0])


def torchvision_download(dataset: str) -> Callable[[Path], None]:
    """The downloader of a class of :mod:`torchvision.datasets`."""

    def download(root: Path) -> None:
        from torchvision import datasets

        getattr(datasets, dataset)(root, download=True)

    return download
