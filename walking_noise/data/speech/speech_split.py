"""The clips of one split, of words and of silence, with their labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from walking_noise.data.speech.background import silence
from walking_noise.data.speech.mfcc import SECOND
from walking_noise.data.speech.recordings import Recordings, read_wave, word_of

BLOCK = 512
"""Clips that are read at once."""
UNKNOWN_TOO_OFTEN = 3.6
"""By what the papers divide the weight of the class unknown."""


@dataclass(frozen=True)
class Split:
    """Recordings of words, and after them pieces of silence.

    Attributes
    ----------
    silence
        int16 (pieces, 16000).
    labels
        int64 (samples,), of the words first.
    """

    recordings: Sequence[Path]
    silence: NDArray[np.int16]
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def blocks(self) -> Iterator[tuple[slice, Tensor]]:
        """Yield every clip once, in the order of the labels, as (which, int16 (clips, 16000))."""
        for start in range(0, len(self), BLOCK):
            part = slice(start, min(start + BLOCK, len(self)))
            yield part, torch.from_numpy(np.stack([self._clip(number) for number in range(len(self))[part]]))

    def _clip(self, number: int) -> NDArray[np.int16]:
        if number >= len(self.recordings):
            piece: NDArray[np.int16] = self.silence[number - len(self.recordings)]
            return piece
        samples = read_wave(self.recordings[number])[:SECOND]
        return np.pad(samples, (0, SECOND - len(samples)))


def split(recordings: Recordings, noise: Sequence[NDArray[np.int16]], classes: Sequence[str], part: str) -> Split:
    """The split ``part`` of the words in ``recordings`` and of the background ``noise``.

    ``classes`` ends with silence and unknown, the class of every word that is not among them.
    """
    names = recordings.split(part)
    pieces = silence(noise, part)
    label = {name: number for number, name in enumerate(classes)}
    labels = [label.get(word_of(name), label["unknown"]) for name in names] + [label["silence"]] * len(pieces)
    return Split([recordings.folder / name for name in names], pieces, torch.tensor(labels))


def class_weights(labels: Tensor, classes: Sequence[str]) -> Tensor:
    """The weight of each class in the loss, float32: what is rare weighs more, and their sum is 1.

    For a class of share p of the training set 1 - p, which the papers divide by 3.6 for unknown.
    """
    weights = 1 - labels.bincount(minlength=len(classes)) / len(labels)
    weights[classes.index("unknown")] /= UNKNOWN_TOO_OFTEN
    return weights / weights.sum()
