"""Computation of the features and waveforms of a speech data set, once for all runs."""

from __future__ import annotations

import sys
import time

import torch
from torch import Tensor

from walking_noise.data.data_files import DamagedFile
from walking_noise.data.speech.background import SHORTEST, Background
from walking_noise.data.speech.dimensions import COEFFICIENTS, FRAMES, SECOND
from walking_noise.data.speech.mfcc import features, scaled
from walking_noise.data.speech.recordings import Recordings, read_wave
from walking_noise.data.speech.speech_split import Split, split
from walking_noise.reproducibility import deterministic, stream_generator

RELEASE_SEED = 0
"""Seed of the background noise of the transform ``release``, which is drawn once for all runs."""
REPORT_SECONDS = 5.0
"""Seconds between two messages about the progress."""


@deterministic()
def compute(recordings: Recordings, classes: tuple[str, ...], *, transform: str, validation: str) -> dict[str, Tensor]:
    """The samples and labels of both splits, by the names of the fields of :class:`walking_noise.data.DataSet`.

    The training samples depend on ``transform``. For ``fresh`` they are waveforms, and the result has the fields
    ``sound`` and ``lengths`` of :class:`Background` in addition. For ``release`` they are features of clips with
    background noise, for ``none`` features of clips without noise. Raise :class:`DamagedFile` if a recording cannot be
    read, or the background noise is too short.
    """
    noise = [read_wave(path) for path in recordings.background]
    training, validation_split = (split(recordings, noise, classes, part) for part in ("training", validation))
    background = Background.of(noise)
    if transform != "none" and not len(background.lengths):
        raise DamagedFile(f"{recordings.folder} contains no background noise of at least {SHORTEST} seconds")
    progress = _Progress(len(training) + len(validation_split))
    tensors = {
        "train_labels": training.labels,
        "validation_samples": _features(validation_split, progress),
        "validation_labels": validation_split.labels,
    }
    if transform == "fresh":
        samples = {"train_samples": _waveforms(training, progress)}
        return tensors | samples | {"sound": background.sound, "lengths": background.lengths}
    mixed = background if transform == "release" else None
    return tensors | {"train_samples": _features(training, progress, mixed)}


def _waveforms(clips: Split, progress: _Progress) -> Tensor:
    """The waveforms of the clips, int16 (n, 16000)."""
    waveforms = torch.empty(len(clips), SECOND, dtype=torch.int16)
    for part, block in clips.blocks():
        waveforms[part] = block
        progress.count(len(block))
    return waveforms


def _features(clips: Split, progress: _Progress, background: Background | None = None) -> Tensor:
    """The features (n, 1, 10, 49) of the clips, with noise from ``background`` mixed in unless it is None."""
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
    """Progress messages of a long computation on standard error."""

    def __init__(self, total: int) -> None:
        self.done, self.total, self.reported = 0, total, time.monotonic()

    def count(self, clips: int) -> None:
        """Add finished clips; print a message if the last one is older than :data:`REPORT_SECONDS`."""
        self.done += clips
        if time.monotonic() > self.reported + REPORT_SECONDS:
            print(f"computing speech features for the cache: {self.done:,} of {self.total:,} clips", file=sys.stderr)
            self.reported = time.monotonic()
