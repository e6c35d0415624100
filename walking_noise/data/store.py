"""From the name of a data set to its tensors; what is missing, and getting it."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from http.client import HTTPException
from pathlib import Path

import torch
from torch import Tensor

from walking_noise.data import sets
from walking_noise.data.dataset import DataSet, checksum
from walking_noise.data.files import ENVIRONMENT_VARIABLE, DamagedFile, data_root
from walking_noise.data.source import Source, Splits
from walking_noise.errors import DataMissing, refused
from walking_noise.registry import discover

Root = str | os.PathLike[str] | None
_loading = threading.RLock()


@cache
def sources() -> dict[str, Source]:
    """Every data set, by name."""
    return discover(sets, "DATA_SET")


def load(name: str, transform: str = "release", root: Root = None) -> DataSet:
    """A data set in memory; the same object for the same arguments, read once per process.

    Parameters
    ----------
    transform
        One of the names in the data set's :attr:`Source.transforms`.
    root
        The folder of all data sets (:func:`data_root`).

    Raises
    ------
    ConfigError
        There is no such data set or transform.
    DataMissing
        A file is not there or damaged; the text names it and the command that gets it.
    """
    with _loading:
        return _load(name, transform, data_root(root))


@cache
def _load(name: str, transform: str, root: Path) -> DataSet:
    source = _source(name)
    if transform not in source.transforms:
        raise refused("data.transform", transform, f"allowed for {name}: {', '.join(source.transforms)}")
    tensors, digest = _read(name, root)
    return DataSet(name, source.classes, source.transforms[transform], *tensors, checksum=digest)


@cache
def _read(name: str, root: Path) -> tuple[tuple[Tensor, Tensor, Tensor, Tensor], str]:
    source = _source(name)
    splits = _decode(source, root)
    tensors = (
        torch.tensor(splits.train_images),
        torch.tensor(splits.train_labels, dtype=torch.int64),
        torch.tensor(splits.validation_images),
        torch.tensor(splits.validation_labels, dtype=torch.int64),
    )
    return tensors, checksum(*tensors)


def _decode(source: Source, root: Path) -> Splits:
    files = source.files(root)
    if files.missing:
        fault = f"{', '.join(path.name for path in files.missing)} missing in {files.folder}"
        commands = ", or: ".join(_commands(source, root))
        raise DataMissing(f"data set {source.name}: {fault}; get it with: {commands}")
    try:
        return source.read(files)
    except DamagedFile as damage:
        command = _commands(source, root)[0]
        raise DataMissing(f"data set {source.name}: {damage}; replace it with: {command}") from damage


def _commands(source: Source, root: Path) -> list[str]:
    """The commands that get a data set into ``root``, or install it."""
    commands = []
    if source.download is not None:
        elsewhere = "" if root == data_root() else f"{ENVIRONMENT_VARIABLE}={root} "
        commands.append(f"{elsewhere}walking-noise data get {source.name}")
    if source.package is not None:
        commands.append(source.package)
    return commands


@dataclass(frozen=True)
class Status:
    """Whether the files of a data set are there.

    Attributes
    ----------
    folder
        Where they are, or should be.
    missing
        Those that are not there.
    """

    name: str
    folder: Path
    missing: tuple[Path, ...]

    @property
    def present(self) -> bool:
        return not self.missing

    def __str__(self) -> str:
        if self.present:
            return f"{self.name}: present in {self.folder}"
        return f"{self.name}: missing in {self.folder}: {', '.join(path.name for path in self.missing)}"


def status(name: str, root: Root = None) -> Status:
    """Which files of a data set are there; their content is not read."""
    files = _source(name).files(data_root(root))
    return Status(name, files.folder, files.missing)


def fetch(name: str, root: Root = None) -> Path:
    """Download a data set, with progress on standard error, unless it is there and intact; return its folder.

    Files are moved to their place once all of them are complete.

    Raises
    ------
    ConfigError
        There is no such data set.
    DataMissing
        It comes with a package that has to be installed, or the download failed.
    """
    source, folder = _source(name), data_root(root)
    try:
        _decode(source, folder)
    except DataMissing:
        if source.download is None:
            raise
        _download(source, source.download, folder)
    return source.files(folder).folder


def _download(source: Source, download: Callable[[Path], None], root: Path) -> None:
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=root, prefix=f".{source.name}-") as partial:
            download(Path(partial))
            for file in source.sha256:
                place = root / source.folders[0] / file
                place.parent.mkdir(parents=True, exist_ok=True)
                (Path(partial) / source.folders[0] / file).replace(place)
    except (OSError, RuntimeError, HTTPException) as error:
        reason = " ".join(str(error).split())
        raise DataMissing(f"data set {source.name}: the download to {root} failed ({reason})") from error


def _source(name: str) -> Source:
    if name not in sources():
        raise refused("data.name", name, f"allowed: {', '.join(sources())}")
    return sources()[name]
