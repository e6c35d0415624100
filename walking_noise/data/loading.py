"""Loading, status and download of data sets, by name."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from walking_noise.data import sets
from walking_noise.data.data_files import ENVIRONMENT_VARIABLE, DamagedFile, Files, data_root
from walking_noise.data.dataset import DataSet
from walking_noise.data.own_data import OwnData
from walking_noise.errors import DataMissing, refused
from walking_noise.registry import discover, is_own, load_own

if TYPE_CHECKING:  # not at run time: the code of one data set does not count for the runs of others (code_digest.py)
    from walking_noise.data.images.published_images import PublishedImages
    from walking_noise.data.speech.recordings import Recordings
    from walking_noise.data.speech.speech_commands import SpeechCommands

Source: TypeAlias = "PublishedImages | SpeechCommands | OwnData"
"""A data set: its name, shape and transforms, and how to find, read and download its files.

An object of any class with the attributes and methods that these have in common can be used, too.
"""
Root = str | os.PathLike[str] | None
Result = TypeVar("Result")
_loading = threading.RLock()


@cache
def sources() -> dict[str, Source]:
    """All data sets of this package, by name."""
    return discover(sets, "DATA_SET")


def source(name: str) -> Source:
    """The data set ``name``; raise :class:`ConfigError` if it does not exist."""
    if is_own(name):
        return _own_source(name)
    if name not in sources():
        raise refused("data.name", name, f"allowed: {', '.join(sources())}")
    return sources()[name]


@cache
def _own_source(name: str) -> OwnData:
    try:
        return OwnData.of(name, load_own(name))
    except ValueError as error:
        raise refused("data.name", name, str(error)) from None


def load(
    name: str,
    transform: str = "release",
    validation: str = "test",
    keywords: tuple[str, ...] | None = None,
    *,
    root: Root = None,
) -> DataSet:
    """A data set in memory. It is read once per process; equal arguments return the same object.

    Parameters
    ----------
    name, transform, validation, keywords
        The settings ``data.*`` of a run (:class:`walking_noise.config.settings.DataConfig`).
    root
        The folder of all data sets (:func:`data_root`).

    Raises
    ------
    ConfigError
        The data set or the transform does not exist, or there is no recording of a keyword.
    DataMissing
        A file is missing or damaged. The message names the file and the command that downloads it or
        installs its package.
    """
    with _loading:
        return _load(name, transform, validation, keywords, data_root(root))


@cache
def _load(name: str, transform: str, validation: str, keywords: tuple[str, ...] | None, root: Path) -> DataSet:
    chosen = source(name)
    if transform not in chosen.transforms:
        raise refused("data.transform", transform, f"allowed for {name}: {', '.join(chosen.transforms)}")
    return _use_files(chosen, root, lambda files: chosen.read(files.folder, transform, validation, keywords))


def _use_files(source: Source, root: Path, use: Callable[[Files | Recordings], Result]) -> Result:
    """The result of ``use``; raise :class:`DataMissing` with a command that helps if a file is missing or damaged."""
    files, commands = source.locate(root), _commands(source, root)
    if files.missing:
        fault = f"{', '.join(path.name for path in files.missing)} missing in {files.folder}"
        raise DataMissing(f"data set {source.name}: {fault}; get it with: {', or: '.join(commands)}")
    try:
        return use(files)
    except DamagedFile as damage:
        folder = next((root / path for path in source.downloaded if (root / path).is_dir()), None)
        remedy = "replace it with" if folder is None else f"move {folder} away, then get the data set with"
        raise DataMissing(f"data set {source.name}: {damage}; {remedy}: {commands[0]}") from damage


def _commands(source: Source, root: Path) -> list[str]:
    """The commands that download a data set into ``root`` or install a package with it."""
    commands = []
    if source.download is not None:
        variable = "" if root == data_root() else f"{ENVIRONMENT_VARIABLE}={root} "
        commands.append(f"{variable}walking-noise data get {source.name}")
    if source.package is not None:
        commands.append(source.package)
    return commands


@dataclass(frozen=True)
class Status:
    """Status of the files of a data set: the folder in which they are or are expected, and the missing ones.

    ``extent`` is a text that describes how much of the data set exists; empty if it exists completely or not at all.
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
    """The status of the files of a data set; their content is not read."""
    location = source(name).locate(data_root(root))
    missing = location.missing
    return Status(name, location.folder, missing, "" if missing else location.extent)


def fetch(name: str, root: Root = None) -> Path:
    """Download a data set unless it is complete and intact; return its folder. Progress goes to standard error.

    Files are moved to their folder after the download of all of them is complete.

    Raises
    ------
    ConfigError
        The data set does not exist.
    DataMissing
        The data set comes with a package that has to be installed, its folder is incomplete, or the download failed.
    """
    chosen, folder = source(name), data_root(root)
    try:
        _use_files(chosen, folder, lambda files: files.verify())
    except DataMissing:
        if chosen.download is None:
            raise
        _download(chosen, chosen.download, folder)
    return chosen.locate(folder).folder


def _download(source: Source, download: Callable[[Path], None], root: Path) -> None:
    """Download into a temporary folder below ``root``, then move the files to their folders."""
    for path in source.downloaded:
        if (root / path).is_dir():
            raise DataMissing(f"data set {source.name}: {root / path} is incomplete; move it away first")
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
