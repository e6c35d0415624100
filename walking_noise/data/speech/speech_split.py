"""Split of a speech data set: the clips of words and of silence, with their labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from walking_noise.data.speech.background import silence
from walking_noise.data.speech.dimensions import SECOND
from walking_noise.data.speech.recordings import Recordings, read_wave, word_of

BLOCK = 512
"""Number of clips in a block that is read at a time."""
UNKNOWN_TOO_OFTEN = 3.6
"""The papers divide the weight of the class unknown by this factor."""


@dataclass(frozen=True)
class Split:
    """The clips of a split: recordings of words, then windows of silence."""

    recordings: Sequence[Path]  # the files of the words
    silence: NDArray[np.int16]  # (windows, 16000)
    labels: Tensor  # int64 (samples,): of the words, then of silence

    def __len__(self) -> int:
        return len(self.labels)

    def blocks(self) -> Iterator[tuple[slice, Tensor]]:
        """Yield all clips in blocks, in the order of the labels, as (slice of the samples, int16 (clips, 16000))."""
        for start in range(0, len(self), BLOCK):
            part = slice(start, min(start + BLOCK, len(self)))
            yield part, torch.from_numpy(np.stack([self._clip(number) for number in range(len(self))[part]]))

    def _clip(self, number: int) -> NDArray[np.int16]:
        """One clip (16000,); a recording is truncated or padded with zeros to one second."""
        if number >= len(self.recordings):
            window: NDArray[np.int16] = self.silence[number - len(self.recordings)]
            return window
        samples = read_wave(self.recordings[number])[:SECOND]
        return np.pad(samples, (0, SECOND - len(samples)))


def split(recordings: Recordings, noise: Sequence[NDArray[np.int16]], classes: Sequence[str], part: str) -> Split:
    """The split ``part`` of the words in ``recordings`` and of the background ``noise``.

    ``classes`` ends with silence and unknown. The label of a word that is not in ``classes`` is that of unknown.
    """
    names = recordings.split(part)
    windows = silence(noise, part)
    label = {name: number for number, name in enumerate(classes)}
    labels = [label.get(word_of(name), label["unknown"]) for name in names] + [label["silence"]] * len(windows)
    return Split([recordings.folder / name for name in names], windows, torch.tensor(labels))


def class_weights(labels: Tensor, classes: Sequence[str]) -> Tensor:
    """The weight of each class in the loss, float32 (classes,): rare classes have higher weights; the sum is 1.

    The weight of a class with the share p of the training set is proportional to 1 - p. For the class unknown,
    this is divided by 3.6, as in the papers.
    """
    weights = 1 - labels.bincount(minlength=len(classes)) / len(labels)
    weights[classes.index("unknown")] /= UNKNOWN_TOO_OFTEN
    return weights / weights.sum()
