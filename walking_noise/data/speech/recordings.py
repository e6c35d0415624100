"""The folder of Google Speech Commands: a folder of recordings for each word, and lists of those that validate."""

from __future__ import annotations

import wave
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from walking_noise.data.data_files import DamagedFile
from walking_noise.data.speech.mfcc import RATE

LISTS = {"test": "testing_list.txt", "holdout": "validation_list.txt"}
"""The lists that name the recordings of each split; what is in neither trains."""
BACKGROUND = "_background_noise_"
PUBLISHED = 105_829
"""Recordings of words in version 0.02."""


@dataclass(frozen=True)
class Recordings:
    """The recordings in a folder laid out as the archive of Speech Commands, or a part of them.

    Attributes
    ----------
    folder
        Holds ``WORD/NAME.wav``, :data:`BACKGROUND` and :data:`LISTS`.
    """

    folder: Path

    @property
    def missing(self) -> tuple[Path, ...]:
        """The lists and the folder of background noise, as far as they are not there."""
        needed = [self.folder / name for name in (*LISTS.values(), BACKGROUND)]
        return tuple(path for path in needed if not path.exists())

    @property
    def extent(self) -> str:
        """How many recordings of words are there."""
        return f"{len(self.names):,} of {PUBLISHED:,} recordings"

    def verify(self) -> None:
        """Raise :class:`DamagedFile` unless as many recordings are there as were published."""
        if len(self.names) != PUBLISHED:
            raise DamagedFile(f"{self.folder} holds {self.extent}")

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Every recording of a word, as ``WORD/NAME.wav``, sorted."""
        folders = [folder for folder in self.folder.glob("[!._]*") if folder.is_dir()]
        return tuple(sorted(f"{folder.name}/{path.name}" for folder in folders for path in folder.glob("*.wav")))

    @cached_property
    def words(self) -> frozenset[str]:
        """Every word of which there is a recording."""
        return frozenset(map(word_of, self.names))

    @property
    def background(self) -> list[Path]:
        """The recordings of background noise."""
        return sorted((self.folder / BACKGROUND).glob("*.wav"))

    def split(self, part: str) -> list[str]:
        """The names of the recordings that train (``training``) or are on a list (the keys of :data:`LISTS`)."""
        listed = {name: _read_list(self.folder / file) for name, file in LISTS.items()}
        if part == "training":
            chosen = [name for name in self.names if not any(name in names for names in listed.values())]
        else:
            chosen = [name for name in self.names if name in listed[part]]
        if not chosen:
            raise DamagedFile(f"{self.folder} holds no recording to {'train on' if part == 'training' else 'validate'}")
        return chosen

    def state(self) -> Iterator[tuple[str, int, int]]:
        """Name, bytes and time of the last change of every file: equal while nothing was changed."""
        files = [*self.names, *LISTS.values(), *(f"{BACKGROUND}/{path.name}" for path in self.background)]
        for name in files:
            status = (self.folder / name).stat()
            yield name, status.st_size, status.st_mtime_ns


def word_of(name: str) -> str:
    """The word spoken in a recording ``WORD/NAME.wav``."""
    return name.partition("/")[0]


def _read_list(path: Path) -> frozenset[str]:
    """The names in one of :data:`LISTS`."""
    try:
        return frozenset(path.read_text().split())
    except (OSError, UnicodeDecodeError) as error:
        raise DamagedFile(f"{path} cannot be read ({error})") from error


def read_wave(path: Path) -> NDArray[np.int16]:
    """The samples of a recording, 16 kHz, one channel of 16 bits."""
    try:
        with wave.open(str(path)) as sound:
            form = sound.getframerate(), sound.getnchannels(), sound.getsampwidth()
            expected, content = sound.getnframes(), sound.readframes(sound.getnframes())
    except (OSError, EOFError, wave.Error) as error:
        raise DamagedFile(f"{path} cannot be read ({str(error) or 'it ends too early'})") from error
    if form != (RATE, 1, 2):
        rate, channels, width = form
        raise DamagedFile(f"{path} is not of 16 kHz, 1 channel and 16 bits but of {rate}, {channels} and {8 * width}")
    samples = np.frombuffer(content[: len(content) // 2 * 2], "<i2")
    if len(samples) < expected:
        raise DamagedFile(f"{path} is damaged ({len(samples):,} of {expected:,} samples)")
    return samples.astype(np.int16)
