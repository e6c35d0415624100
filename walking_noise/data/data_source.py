"""What a data set declares about itself."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from walking_noise.data.dataset import DataSet


@dataclass(frozen=True)
class Selection:
    """What of a data set is used, and how: the settings ``data.transform``, ``data.validation``, ``data.keywords``.

    Attributes
    ----------
    transform
        What is done to the samples, by one of the names in :attr:`Source.transforms`.
    validation
        ``test``: the official test split validates. ``holdout``: a part of the rest, which then does not train.
    keywords
        The words to tell apart, of a data set of speech; None: its own.
    """

    transform: str = "release"
    validation: str = "test"
    keywords: tuple[str, ...] | None = None


class Place(Protocol):
    """Where the files of a data set are, or should be."""

    @property
    def folder(self) -> Path:
        """The folder that holds them."""

    @property
    def missing(self) -> tuple[Path, ...]:
        """The files without which the data set cannot be read, as far as they are not there."""

    @property
    def extent(self) -> str:
        """How much of the data set is there, in words; empty where it is all or nothing."""

    def verify(self) -> None:
        """Raise :class:`walking_noise.data.data_files.DamagedFile` if this is not the whole published data set."""


class Source(Protocol):
    """A data set by name: what it looks like, where its files lie, how they are read and had."""

    @property
    def name(self) -> str:
        """Its value of ``data.name``."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of the network's input."""

    @property
    def transforms(self) -> Collection[str]:
        """The values of ``data.transform`` it knows."""

    @property
    def takes_keywords(self) -> bool:
        """Whether ``data.keywords`` chooses what is told apart."""

    @property
    def download(self) -> Callable[[Path], None] | None:
        """Fetches the data set into a folder, as :attr:`downloaded`; None: there is only a package."""

    @property
    def downloaded(self) -> tuple[Path, ...]:
        """The files and folders of a download, below the root of all data."""

    @property
    def package(self) -> str | None:
        """The command that installs a package with the files."""

    def count_classes(self, keywords: tuple[str, ...] | None) -> int:
        """The number of classes."""

    def place(self, root: Path) -> Place:
        """Where the files are, or should be, below the root of all data or in a package."""

    def read(self, folder: Path, selection: Selection) -> DataSet:
        """The data set in memory, of the files in ``folder``.

        Raises
        ------
        DamagedFile
            A file cannot be read, or its content is not what it must be.
        """
