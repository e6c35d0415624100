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

from walking_noise.data import sets
from walking_noise.data.data_files import ENVIRONMENT_VARIABLE, DamagedFile, data_root
from walking_noise.data.data_source import Place, Selection, Source
from walking_noise.data.dataset import DataSet
from walking_noise.errors import DataMissing, refused
from walking_noise.registry import discover

Root = str | os.PathLike[str] | None
_loading = threading.RLock()


@cache
def sources() -> dict[str, Source]:
    """Every data set, by name."""
    return discover(sets, "DATA_SET")


def load(
    name: str,
    transform: str = "release",
    validation: str = "test",
    keywords: tuple[str, ...] | None = None,
    *,
    root: Root = None,
) -> DataSet:
    """A data set in memory; the same object for the same arguments, read once per process.

    Parameters
    ----------
    name, transform, validation, keywords
        The settings ``data.*`` of a run; see :class:`Selection`.
    root
        The folder of all data sets (:func:`data_root`).

    Raises
    ------
    ConfigError
        There is no such data set or transform, or no recording of a keyword.
    DataMissing
        A file is not there or damaged; the text names it and the command that gets it.
    """
    with _loading:
        return _load(name, Selection(transform, validation, keywords), data_root(root))


@cache
def _load(name: str, selection: Selection, root: Path) -> DataSet:
    source = _source(name)
    if selection.transform not in source.transforms:
        allowed = ", ".join(source.transforms)
        raise refused("data.transform", selection.transform, f"allowed for {name}: {allowed}")
    place = _place(source, root)
    try:
        return source.read(place.folder, selection)
    except DamagedFile as damage:
        raise _damaged(source, root, damage) from damage


def _place(source: Source, root: Path) -> Place:
    """Where the files of a data set are, all of them."""
    place = source.place(root)
    if place.missing:
        fault = f"{', '.join(path.name for path in place.missing)} missing in {place.folder}"
        commands = ", or: ".join(_commands(source, root))
        raise DataMissing(f"data set {source.name}: {fault}; get it with: {commands}")
    return place


def _damaged(source: Source, root: Path, damage: DamagedFile) -> DataMissing:
    whole = next((root / path for path in source.downloaded if (root / path).is_dir()), None)
    remedy = "replace it with" if whole is None else f"move {whole} away and get all of it with"
    return DataMissing(f"data set {source.name}: {damage}; {remedy}: {_commands(source, root)[0]}")


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
    extent
        How much of the data set is there, in words; empty where it is all or nothing.
    """

    name: str
    folder: Path
    missing: tuple[Path, ...]
    extent: str = ""

    @property
    def present(self) -> bool:
        return not self.missing

    def __str__(self) -> str:
        if self.present:
            return f"{self.name}: {self.extent or 'present'} in {self.folder}"
        return f"{self.name}: missing in {self.folder}: {', '.join(path.name for path in self.missing)}"


def status(name: str, root: Root = None) -> Status:
    """Which files of a data set are there; their content is not read."""
    place = _source(name).place(data_root(root))
    missing = place.missing
    return Status(name, place.folder, missing, "" if missing else place.extent)


def fetch(name: str, root: Root = None) -> Path:
    """Download a data set, with progress on standard error, unless it is there and intact; return its folder.

    Files are moved to their place once all of them are complete.

    Raises
    ------
    ConfigError
        There is no such data set.
    DataMissing
        It comes with a package that has to be installed, only a part of it is there, or the download failed.
    """
    source, folder = _source(name), data_root(root)
    try:
        _verify(source, folder)
    except DataMissing:
        if source.download is None:
            raise
        _download(source, source.download, folder)
    return source.place(folder).folder


def _verify(source: Source, root: Path) -> None:
    """Raise :class:`DataMissing` unless the whole published data set is there."""
    place = _place(source, root)
    try:
        place.verify()
    except DamagedFile as damage:
        raise _damaged(source, root, damage) from damage


def _download(source: Source, download: Callable[[Path], None], root: Path) -> None:
    for path in source.downloaded:
        if (root / path).is_dir():
            raise DataMissing(f"data set {source.name}: {root / path} is not the whole of it; move it away first")
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=root, prefix=f".{source.name}-") as partial:
            download(Path(partial))
            for path in source.downloaded:
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                (Path(partial) / path).replace(root / path)
    except (OSError, RuntimeError, HTTPException) as error:
        reason = " ".join(str(error).split())
        raise DataMissing(f"data set {source.name}: the download to {root} failed ({reason})") from error


def _source(name: str) -> Source:
    if name not in sources():
        raise refused("data.name", name, f"allowed: {', '.join(sources())}")
    return sources()[name]
