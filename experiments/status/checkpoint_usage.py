"""The checkpoints in a folder: which of them an unfinished run needs, and removing the others."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from pymongo.database import Database

from experiments.database.connection import Document
from experiments.database.run_collections import seml_collections, unfinished_filter
from experiments.database.stored_config import run_config
from experiments.errors import UserError
from walking_noise import ConfigError
from walking_noise.checkpoints.checkpoint_format import CheckpointUnusable, read_header
from walking_noise.checkpoints.checkpoint_store import SUFFIX
from walking_noise.version import __version__

PART = ".part"
DAY = 86_400.0
"""Seconds. A file that is being written is younger."""


class Need(Enum):
    """Whether a file in the folder is needed; the values say it in words."""

    NEEDED = "needed by unfinished runs"
    BY_NOTHING = "needed by nothing"
    OF_ANOTHER_VERSION = "of another version, kept for runs whose settings this one cannot read"
    UNUSABLE = "damaged, or unreadable for this version"
    LEFT_OVER = "never finished, older than a day"
    IN_WRITING = "being written"
    FOREIGN = "no checkpoints, left alone"
    UNKNOWN = "not known to be needed or not: the database was not asked"


REMOVED = (Need.BY_NOTHING, Need.UNUSABLE, Need.LEFT_OVER)
"""What ``clean`` removes."""


@dataclass(frozen=True)
class Kept:
    """A file in the folder of checkpoints; ``age`` in seconds."""

    file: Path
    bytes: int
    age: float
    need: Need


@dataclass(frozen=True)
class Needs:
    """The networks that unfinished runs need, by their keys, and how many of these runs this version cannot read."""

    keys: frozenset[str]
    unreadable: int


def needs(database: Database[Document], show: Callable[[str], None]) -> Needs:
    """What the unfinished runs of all collections need."""
    keys: set[str] = set()
    unreadable = seen = 0
    for name in seml_collections(database):
        for document in database[name].find(unfinished_filter(), {"config": 1}):
            try:
                keys.add(run_config(document["config"]).network_key)
            except (ConfigError, KeyError):
                unreadable += 1
            seen += 1
            show(f"{seen:,} unfinished runs looked at")
    return Needs(frozenset(keys), unreadable)


def kept(folder: Path, needed: Needs | None) -> list[Kept]:
    """The files in the folder, none if it is not there; without ``needed`` nothing is said of the checkpoints' need.

    Raises
    ------
    UserError
        The folder cannot be read.
    """
    try:
        return list(_kept(folder, needed))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UserError(f"{folder}: it cannot be read: {error.strerror}") from None


def remove(those: Sequence[Kept]) -> None:
    """Remove files; what somebody else has removed meanwhile is as good.

    Raises
    ------
    UserError
        One cannot be removed; those before it are gone.
    """
    for one in those:
        try:
            one.file.unlink(missing_ok=True)
        except OSError as error:
            raise UserError(f"{one.file}: it cannot be removed: {error.strerror}") from None


def _kept(folder: Path, needed: Needs | None) -> Iterator[Kept]:
    now = time.time()
    for file in sorted(folder.iterdir()):
        try:
            state = file.stat()
        except FileNotFoundError:  # a worker has just removed it
            continue
        age = now - state.st_mtime
        yield Kept(file, state.st_size, age, _need(file, age, needed))


def _need(file: Path, age: float, needed: Needs | None) -> Need:
    if file.suffix == PART:
        return Need.LEFT_OVER if age > DAY else Need.IN_WRITING
    if file.suffix != SUFFIX:
        return Need.FOREIGN
    try:
        header = read_header(file)
    except CheckpointUnusable:
        return Need.UNUSABLE if file.exists() else Need.BY_NOTHING
    if needed is None:
        return Need.UNKNOWN
    if header.network_key in needed.keys:
        return Need.NEEDED
    return Need.OF_ANOTHER_VERSION if needed.unreadable and header.version != __version__ else Need.BY_NOTHING
