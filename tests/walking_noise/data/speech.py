"""Very small speech data set with the layout of Google Speech Commands: noise instead of words."""

from __future__ import annotations

import wave
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FOLDER = Path("SpeechCommands", "speech_commands_v0.02")
RATE = 16_000

WORDS = {"yes": 8, "no": 6, "cat": 9}
TESTING, VALIDATION = ("yes/0.wav", "no/1.wav", "cat/2.wav"), ("yes/3.wav", "cat/0.wav")
SECONDS = (5.0, 4.0, 0.7)


def write_wave(path: Path, samples: NDArray[np.int16], *, rate: int = RATE, channels: int = 1) -> None:
    with wave.open(str(path), "wb") as sound:
        sound.setnchannels(channels)
        sound.setsampwidth(2)
        sound.setframerate(rate)
        sound.writeframes(samples.astype("<i2").tobytes())


def write_corpus(
    root: Path,
    words: Mapping[str, int] = WORDS,
    *,
    testing: Sequence[str] = TESTING,
    validation: Sequence[str] = VALIDATION,
    seconds: Sequence[float] = SECONDS,
) -> Path:
    """Write recordings, their number by word, the lists and background noise below ``root``; return the folder."""
    folder, random = root / FOLDER, np.random.default_rng(0)
    for word, count in words.items():
        (folder / word).mkdir(parents=True)
        for number in range(count):
            loudness, length = random.integers(100, 3000), random.integers(RATE // 2, RATE + 1)
            write_wave(folder / word / f"{number}.wav", random.normal(0, loudness, length).astype(np.int16))
    (folder / "testing_list.txt").write_text("\n".join(testing))
    (folder / "validation_list.txt").write_text("\n".join(validation))
    (folder / "_background_noise_").mkdir(parents=True)
    (folder / "_background_noise_" / "README.md").write_text("background noise")
    for number, duration in enumerate(seconds):
        noise = random.normal(0, 2000, int(duration * RATE)).astype(np.int16)
        write_wave(folder / "_background_noise_" / f"{number}.wav", noise)
    return folder
