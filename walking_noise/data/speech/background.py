"""Background noise: pieces of it are the class silence, and training clips are mixed with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from walking_noise.data.speech.mfcc import SECOND

PARTS = {"training": (0, 80), "holdout": (80, 90), "test": (90, 100)}
"""The stretch of every background recording, in percent of its length, that trains or validates.

The papers do not say how they divide the recordings. Here, as the data set divides its words, four fifths train.
"""
PROBABILITY = 0.8
"""Of a training clip to be mixed with background noise."""
FULL_SCALE = 2**15
SHORTEST = 100 / PARTS["training"][1]
"""Seconds of a background recording whose training part lasts one second."""


def part_of(recording: NDArray[np.int16], name: str) -> NDArray[np.int16]:
    """The stretch of a recording that belongs to one of :data:`PARTS`."""
    start, end = (len(recording) * percent // 100 for percent in PARTS[name])
    return recording[start:end]


def silence(recordings: Sequence[NDArray[np.int16]], part: str) -> NDArray[np.int16]:
    """The class silence, int16 (samples, 16000): windows of one second, each half over the next."""
    stretches = [part_of(recording, part) for recording in recordings]
    pieces = [
        stretch[start : start + SECOND]
        for stretch in stretches
        for start in range(0, len(stretch) - SECOND + 1, SECOND // 2)
    ]
    return np.stack(pieces) if pieces else np.empty((0, SECOND), np.int16)


@dataclass(frozen=True, eq=False)
class Background:
    """The background noise of training: its recordings one after the other.

    Attributes
    ----------
    sound
        int16 (samples,).
    lengths
        int64 (recordings,), each at least one second.
    """

    sound: Tensor
    lengths: Tensor

    @classmethod
    def of(cls, recordings: Sequence[NDArray[np.int16]]) -> Background:
        """The training parts of recordings, as far as they last a second."""
        stretches = [part_of(recording, "training") for recording in recordings]
        stretches = [stretch for stretch in stretches if len(stretch) >= SECOND]
        sound = np.concatenate(stretches) if stretches else np.empty(0, np.int16)
        return cls(torch.tensor(sound), torch.tensor([len(stretch) for stretch in stretches], dtype=torch.int64))

    def draw(self, samples: int, generator: torch.Generator) -> Tensor:
        """Noise for every sample of a training set, float64 (2, samples).

        Its first sample in :attr:`sound`, in a recording and at a place that are uniform; and its volume, uniform in
        [0, 1), or 0 with probability 1 - :data:`PROBABILITY`.
        """
        recording = torch.randint(len(self.lengths), (samples,), generator=generator)
        place, mixed, volume = torch.rand(3, samples, generator=generator, dtype=torch.float64)
        places = self.lengths[recording] - SECOND + 1
        begin = (self.lengths.cumsum(0) - self.lengths)[recording]
        return torch.stack([begin + (place * places).floor(), volume * (mixed < PROBABILITY)])

    def mix(self, x: Tensor, drawn: Tensor) -> Tensor:
        """Scaled clips (n, 16000) with the noise (2, n) that was drawn for them, clipped to [-1, 1]."""
        start, volume = drawn
        noise = _sound_on(self, x.device).unfold(0, SECOND, 1).index_select(0, start.long())
        return noise.to(x.dtype).mul_((volume / FULL_SCALE).to(x.dtype).unsqueeze(1)).add_(x).clamp_(-1, 1)


@cache
def _sound_on(background: Background, device: torch.device) -> Tensor:
    return background.sound.to(device)
