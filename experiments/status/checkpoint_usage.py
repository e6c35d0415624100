"""Use of the checkpoints in a folder: which ones unfinished runs need, and removal of the others."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from pymongo.database import Database

from experiments.database.connection import Document
from experiments.database.run_collections import seml_collections, unfinished_filter
from experiments.terminal.text_table import in_words
from walking_noise import ConfigError, RunConfig
from walking_noise.checkpoints.checkpoint_format import CheckpointUnusable, read_header
from walking_noise.checkpoints.checkpoint_store import SUFFIX
from walking_noise.version import __version__

PART = ".part"
DAY = 86_400.0
"""Seconds in a day. A partial file younger than this may still be being written."""


class Need(Enum):
    """Need of a file in the folder; the values are shown to the user."""

    NEEDED = "needed by unfinished runs"
    NOT_NEEDED = "not needed by any run"
    OTHER_VERSION = "from another version; kept, since some unfinished runs cannot be read"
    UNUSABLE = "damaged, or not readable by this version"
    OLD_PARTIAL = "partial file, older than a day"
    PARTIAL = "being written"
    NO_CHECKPOINT = "not a checkpoint, ignored"
    UNKNOWN = "unknown, as the database was not queried"


REMOVED = (Need.NOT_NEEDED, Need.UNUSABLE, Need.OLD_PARTIAL)
"""Files that ``walking-noise checkpoints clean`` removes."""


@dataclass(frozen=True)
class Kept:
    """A file in the folder of checkpoints; ``age`` in seconds since it was last written."""

    file: Path
    bytes: int
    age: float
    need: Need


@dataclass(frozen=True)
class Needs:
    """Needs of the unfinished runs of all collections."""

    keys: set[str]  # of the networks that these runs train; a checkpoint with one of these keys can be resumed
    unreadable: int  # number of runs with settings that this version cannot read, so that their keys are not known


def needs(database: Database[Document], show: Callable[[str], None]) -> Needs:
    """Return what the unfinished runs of all collections need; ``show`` is called with the progress."""
    keys: set[str] = set()
    unreadable = read = 0
    for name in seml_collections(database):
        for document in database[name].find(unfinished_filter(), {"config": 1}):
            try:
                keys |= {one.network_key for one in RunConfig.from_document(document["config"]).with_teacher}
            except (ConfigError, KeyError):
                unreadable += 1
            read += 1
            show(f"{in_words(read, 'unfinished run')} read")
    return Needs(keys, unreadable)


def kept(folder: Path, needed: Needs | None) -> list[Kept]:
    """List the files in the folder; the list is empty if there is no folder.

    Without ``needed``, readable checkpoints get :attr:`Need.UNKNOWN`.
    """
    files, now = [], time.time()
    for file in sorted(folder.iterdir()) if folder.exists() else ():
        with contextlib.suppress(FileNotFoundError):  # a worker has just removed the file
            state = file.stat()
            age = now - state.st_mtime
            files.append(Kept(file, state.st_size, age, _need(file, age, needed)))
    return files


def _need(file: Path, age: float, needed: Needs | None) -> Need:
    if file.suffix == PART:
        return Need.OLD_PARTIAL if age > DAY else Need.PARTIAL
    if file.suffix != SUFFIX:
        return Need.NO_CHECKPOINT
    try:
        header = read_header(file)
    except CheckpointUnusable:
        return Need.UNUSABLE if file.exists() else Need.NOT_NEEDED
    if needed is None:
        return Need.UNKNOWN
    if header.network_key in needed.keys:
        return Need.NEEDED
    return Need.OTHER_VERSION if needed.unreadable and header.version != __version__ else Need.NOT_NEEDED
