"""What is computed of recordings once for all runs."""

from __future__ import annotations

import sys
import time

import torch
from torch import Tensor

from walking_noise.data.data_files import DamagedFile
from walking_noise.data.speech.background import SHORTEST, Background
from walking_noise.data.speech.mfcc import COEFFICIENTS, FRAMES, SECOND, features, scaled
from walking_noise.data.speech.recordings import Recordings, read_wave
from walking_noise.data.speech.speech_split import Split, split
from walking_noise.reproducibility import deterministic, stream_generator

RELEASE_SEED = 0
"""Of the background noise that is mixed in once, the same for all runs."""
REPORT_SECONDS = 5.0


@deterministic()
def compute(recordings: Recordings, classes: tuple[str, ...], *, transform: str, validation: str) -> dict[str, Tensor]:
    """The samples and labels of both splits, as :class:`walking_noise.data.DataSet` names them.

    With ``transform`` ``fresh`` the training samples are waveforms, and ``sound`` and ``lengths`` the background noise
    to mix them with; otherwise they are features, with ``release`` of clips that noise was mixed into.
    """
    noise = [read_wave(path) for path in recordings.background]
    training, validating = (split(recordings, noise, classes, part) for part in ("training", validation))
    background = Background.of(noise)
    if transform != "none" and not len(background.lengths):
        raise DamagedFile(f"{recordings.folder} holds no background noise of at least {SHORTEST} seconds")
    progress = _Progress(len(training) + len(validating))
    tensors = {
        "train_labels": training.labels,
        "validation_samples": _features(validating, progress),
        "validation_labels": validating.labels,
    }
    if transform == "fresh":
        samples = {"train_samples": _waveforms(training, progress)}
        return tensors | samples | {"sound": background.sound, "lengths": background.lengths}
    mixed = background if transform == "release" else None
    return tensors | {"train_samples": _features(training, progress, mixed)}


def _waveforms(clips: Split, progress: _Progress) -> Tensor:
    """Clips as int16 (n, 16000)."""
    waveforms = torch.empty(len(clips), SECOND, dtype=torch.int16)
    for part, block in clips.blocks():
        waveforms[part] = block
        progress.count(len(block))
    return waveforms


def _features(clips: Split, progress: _Progress, background: Background | None = None) -> Tensor:
    """The features (n, 1, 10, 49) of clips, mixed with noise that is drawn once if there is a ``background``."""
    computed = torch.empty(len(clips), 1, COEFFICIENTS, FRAMES)
    drawn = background.draw(len(clips), stream_generator(RELEASE_SEED, "background noise")) if background else None
    for part, block in clips.blocks():
        x = scaled(block)
        if background is not None and drawn is not None:
            x = background.mix(x, drawn[:, part])
        computed[part] = features(x)
        progress.count(len(block))
    return computed


class _Progress:
    """Says on standard error how far a long computation is."""

    def __init__(self, total: int) -> None:
        self.done, self.total, self.said = 0, total, time.monotonic()

    def count(self, clips: int) -> None:
        self.done += clips
        if time.monotonic() > self.said + REPORT_SECONDS:
            print(f"speech features, kept for later: {self.done:,} of {self.total:,} clips", file=sys.stderr)
            self.said = time.monotonic()
