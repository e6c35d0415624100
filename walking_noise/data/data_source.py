"""Declaration of a data set: its name, shape, files and transforms."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from walking_noise.data.dataset import DataSet


@dataclass(frozen=True)
class Selection:
    """Selection from a data set: the settings ``data.transform``, ``data.validation`` and ``data.keywords``.

    Attributes
    ----------
    transform
        Transform of the samples: one of the names in :attr:`Source.transforms`.
    validation
        ``test``: the validation set is the official test split. ``holdout``: the validation set is a part of the other
        samples, which is left out of the training set.
    keywords
        The words to classify, for a data set of speech; None: the default keywords of the data set.
    """

    transform: str = "release"
    validation: str = "test"
    keywords: tuple[str, ...] | None = None


class Location(Protocol):
    """Location of the files of a data set, which may exist or not."""

    @property
    def folder(self) -> Path:
        """The folder of the files."""

    @property
    def missing(self) -> tuple[Path, ...]:
        """The required files that do not exist."""

    @property
    def extent(self) -> str:
        """Text that describes how much of the data set exists; empty if it exists completely or not at all."""

    def verify(self) -> None:
        """Raise :class:`walking_noise.data.data_files.DamagedFile` unless the data set is complete and intact."""


class Source(Protocol):
    """A data set: its name, the shape of its samples, the location of its files, and how to read and download them."""

    @property
    def name(self) -> str:
        """The value of ``data.name`` that selects this data set."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of the network's input."""

    @property
    def transforms(self) -> Collection[str]:
        """The allowed values of ``data.transform``."""

    @property
    def takes_keywords(self) -> bool:
        """Whether ``data.keywords`` selects the classes."""

    @property
    def download(self) -> Callable[[Path], None] | None:
        """Function that downloads :attr:`downloaded` into a folder; None: the files come only with a package."""

    @property
    def downloaded(self) -> tuple[Path, ...]:
        """The files and folders of a download, relative to the root folder of all data sets."""

    @property
    def package(self) -> str | None:
        """The command that installs a package with the files; None: there is no package."""

    def count_classes(self, keywords: tuple[str, ...] | None) -> int:
        """The number of classes."""

    def locate(self, root: Path) -> Location:
        """The location of the files, below the root folder of all data sets or in a package."""

    def read(self, folder: Path, selection: Selection) -> DataSet:
        """The data set in memory, read from the files in ``folder``.

        Raises
        ------
        DamagedFile
            A file cannot be read, or its content is not the published one.
        """
