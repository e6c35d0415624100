"""Folder of Google Speech Commands: a folder of recordings for each word, and lists of the validation recordings."""

from __future__ import annotations

import wave
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from walking_noise.data.data_files import DamagedFile
from walking_noise.data.speech.dimensions import RATE

LISTS = {"test": "testing_list.txt", "holdout": "validation_list.txt"}
"""The lists of the recordings of each validation split; recordings on neither list are for training."""
BACKGROUND = "_background_noise_"
"""Name of the folder with background noise."""
PUBLISHED = 105_829
"""Number of recordings of words in version 0.02."""


@dataclass(frozen=True)
class Recordings:
    """The recordings in a folder with the layout of the archive of Speech Commands, complete or in part."""

    folder: Path  # contains ``WORD/NAME.wav``, :data:`BACKGROUND` and :data:`LISTS`

    @property
    def missing(self) -> tuple[Path, ...]:
        """The missing lists, and the folder of background noise if it is missing."""
        required = [self.folder / name for name in (*LISTS.values(), BACKGROUND)]
        return tuple(path for path in required if not path.exists())

    @property
    def extent(self) -> str:
        """Text with the number of existing and of published recordings of words."""
        return f"{len(self.names):,} of {PUBLISHED:,} recordings"

    def verify(self) -> None:
        """Raise :class:`DamagedFile` unless the number of recordings is the published one."""
        if len(self.names) != PUBLISHED:
            raise DamagedFile(f"{self.folder} contains {self.extent}")

    @cached_property
    def names(self) -> tuple[str, ...]:
        """All recordings of words, as ``WORD/NAME.wav``, sorted."""
        folders = [folder for folder in self.folder.glob("[!._]*") if folder.is_dir()]
        return tuple(sorted(f"{folder.name}/{path.name}" for folder in folders for path in folder.glob("*.wav")))

    @cached_property
    def words(self) -> frozenset[str]:
        """All words that have a recording."""
        return frozenset(map(word_of, self.names))

    @property
    def background(self) -> list[Path]:
        """The recordings of background noise, sorted."""
        return sorted((self.folder / BACKGROUND).glob("*.wav"))

    def split(self, part: str) -> list[str]:
        """The recordings of a split: ``training``, or one of the keys of :data:`LISTS`.

        Raise :class:`DamagedFile` if the split is empty, or a list cannot be read.
        """
        listed = {name: _read_list(self.folder / file) for name, file in LISTS.items()}
        if part == "training":
            names = [name for name in self.names if not any(name in others for others in listed.values())]
        else:
            names = [name for name in self.names if name in listed[part]]
        if not names:
            raise DamagedFile(
                f"{self.folder} contains no recording for {'training' if part == 'training' else 'validation'}"
            )
        return names

    def state(self) -> Iterator[tuple[str, int, int]]:
        """Yield name, size in bytes and modification time of every file; they identify the content of the folder."""
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
    """The samples of a recording of 16 kHz, one channel and 16 bits.

    Raise :class:`DamagedFile` if the file cannot be read, has another format, or is truncated.
    """
    try:
        with wave.open(str(path)) as sound:
            audio_format = sound.getframerate(), sound.getnchannels(), sound.getsampwidth()
            expected, content = sound.getnframes(), sound.readframes(sound.getnframes())
    except (OSError, EOFError, wave.Error) as error:
        raise DamagedFile(f"{path} cannot be read ({str(error) or 'it is truncated'})") from error
    if audio_format != (RATE, 1, 2):
        rate, channels, width = audio_format
        raise DamagedFile(f"{path} is not 16-bit mono of 16000 Hz: {8 * width} bits, channels: {channels}, {rate} Hz")
    samples = np.frombuffer(content[: len(content) // 2 * 2], "<i2")
    if len(samples) < expected:
        raise DamagedFile(f"{path} is damaged ({len(samples):,} of {expected:,} samples)")
    return samples.astype(np.int16)
