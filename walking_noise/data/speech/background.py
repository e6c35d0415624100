"""Background noise of a speech data set: source of the class silence and of the noise mixed into training clips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from walking_noise.data.speech.dimensions import SECOND

PARTS = {"training": (0, 80), "holdout": (80, 90), "test": (90, 100)}
"""The part of every background recording used in each split: start and end in percent of its length.

The papers do not describe their partition of the recordings. Here four fifths are used for training, as for the words.
"""
PROBABILITY = 0.8
"""Probability that background noise is mixed into a training clip."""
FULL_SCALE = 2**15
"""Magnitude of an int16 sample at volume 1."""
SHORTEST = 100 / PARTS["training"][1]
"""Seconds of the shortest background recording that has a training part of one second."""


def part_of(recording: NDArray[np.int16], name: str) -> NDArray[np.int16]:
    """The samples of a recording that belong to ``name``, one of :data:`PARTS`."""
    start, end = (len(recording) * percent // 100 for percent in PARTS[name])
    return recording[start:end]


def silence(recordings: Sequence[NDArray[np.int16]], part: str) -> NDArray[np.int16]:
    """The samples of the class silence, int16 (samples, 16000): windows of one second that overlap by half."""
    parts = [part_of(recording, part) for recording in recordings]
    windows = [
        samples[start : start + SECOND]
        for samples in parts
        for start in range(0, len(samples) - SECOND + 1, SECOND // 2)
    ]
    return np.stack(windows) if windows else np.empty((0, SECOND), np.int16)


@dataclass(frozen=True, eq=False)
class Background:
    """The background noise for training, as the concatenation of recordings."""

    sound: Tensor  # int16 (samples,): the concatenated recordings
    lengths: Tensor  # int64 (recordings,): samples of each recording, at least one second

    @classmethod
    def of(cls, recordings: Sequence[NDArray[np.int16]]) -> Background:
        """The training parts of the recordings; parts shorter than a second are left out."""
        parts = [part_of(recording, "training") for recording in recordings]
        parts = [samples for samples in parts if len(samples) >= SECOND]
        sound = np.concatenate(parts) if parts else np.empty(0, np.int16)
        return cls(torch.tensor(sound), torch.tensor([len(samples) for samples in parts], dtype=torch.int64))

    def draw(self, samples: int, generator: torch.Generator) -> Tensor:
        """Draw the noise for every sample of a training set, float64 (2, samples).

        The first row is the index in :attr:`sound` at which the noise begins; recording and position are uniform. The
        second row is the volume, uniform in [0, 1), or 0 with probability 1 - :data:`PROBABILITY`.
        """
        recording = torch.randint(len(self.lengths), (samples,), generator=generator)
        position, mixed, volume = torch.rand(3, samples, generator=generator, dtype=torch.float64)
        positions = self.lengths[recording] - SECOND + 1
        begin = (self.lengths.cumsum(0) - self.lengths)[recording]
        return torch.stack([begin + (position * positions).floor(), volume * (mixed < PROBABILITY)])

    def mix(self, x: Tensor, drawn: Tensor) -> Tensor:
        """Mix the noise ``drawn`` (2, n) into the scaled clips ``x`` (n, 16000), and clip the result to [-1, 1]."""
        start, volume = drawn
        noise = _sound_on(self, x.device).unfold(0, SECOND, 1).index_select(0, start.long())
        return noise.to(x.dtype).mul_((volume / FULL_SCALE).to(x.dtype).unsqueeze(1)).add_(x).clamp_(-1, 1)


@cache
def _sound_on(background: Background, device: torch.device) -> Tensor:
    return background.sound.to(device)
