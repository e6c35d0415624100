"""The Free Spoken Digit Dataset (Jackson et al.) in the layout of Google Speech Commands: real speech for tests."""

from __future__ import annotations

import shutil
import wave
from pathlib import Path

import torch
from torch import Tensor
from torchaudio.functional import resample

from tests.walking_noise.data.speech import FOLDER, RATE, write_wave

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
PUBLISHED_RATE = 8_000
VALIDATING = 5
"""Number of recordings of each digit and speaker for validation: the first ones, as the data set recommends."""
ROOM = 1e-3
"""Standard deviation of the noise of a quiet room, in units of a clip's maximum."""


def convert(recordings: Path, background: Path, root: Path, *, held_out: str) -> None:
    """Write the recordings below ``root`` as a speech data set, with one speaker in the test split.

    Parameters
    ----------
    recordings
        Holds ``DIGIT_SPEAKER_NUMBER.wav``, 8 kHz.
    background
        A folder of background noise.
    """
    folder = root / FOLDER
    lists: dict[str, list[str]] = {"testing_list.txt": [], "validation_list.txt": []}
    for seed, path in enumerate(sorted(recordings.glob("*.wav"))):
        digit, speaker, number = path.stem.split("_")
        name = f"{DIGITS[int(digit)]}/{speaker}_nohash_{number}.wav"
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_wave(folder / name, (in_a_second(_read(path), seed) * 2**14).short().numpy())
        if speaker == held_out:
            lists["testing_list.txt"].append(name)
        elif int(number) < VALIDATING:
            lists["validation_list.txt"].append(name)
    for file, names in lists.items():
        (folder / file).write_text("\n".join(names))
    shutil.copytree(background, folder / "_background_noise_")


def in_a_second(digit: Tensor, seed: int) -> Tensor:
    """A recording of a digit as in Speech Commands: in the middle of one second with the noise of a quiet room."""
    digit = resample(digit, PUBLISHED_RATE, RATE)[:RATE]
    clip = ROOM * torch.randn(RATE, generator=torch.Generator().manual_seed(seed))
    start = (RATE - len(digit)) // 2
    clip[start : start + len(digit)] += digit / digit.abs().max()
    return clip


def _read(path: Path) -> Tensor:
    with wave.open(str(path)) as sound:
        assert (sound.getframerate(), sound.getnchannels(), sound.getsampwidth()) == (PUBLISHED_RATE, 1, 2)
        return torch.frombuffer(bytearray(sound.readframes(sound.getnframes())), dtype=torch.int16).float()
