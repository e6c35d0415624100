"""The front end of MLPerf Tiny's keyword spotting: a second of sound as 10 cepstral coefficients in 49 frames.

It follows the reference implementation step by step, with torchaudio's transforms: a clip is divided by its maximum;
magnitude spectrum of 30 ms every 20 ms (Hann window, FFT of 512); 40 mel bands from 20 to 4000 Hz; log(x + 1e-6);
discrete cosine transform in HTK's scale, of which the first 10 coefficients are kept.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import cast

import torch
from torch import Tensor
from torch.nn.functional import pad

RATE = 16_000
"""Samples a second."""
SECOND = RATE
"""Samples of a clip."""
COEFFICIENTS, FRAMES = 10, 49
MEL_BANDS = 40
WINDOW, STRIDE, FFT = 480, 320, 512
VERSION = 1
"""To be raised with every change of the numbers that come out, which are kept on disk."""


def scaled(clips: Tensor) -> Tensor:
    """Clips, int16 (n, samples), divided by their maximum, as float32; a clip without a positive sample stays as it is.

    The maximum is that of the samples, not of their magnitude, as in the reference: negative samples may pass -1.
    """
    return clips / clips.amax(1, keepdim=True).clamp(min=1)


def features(x: Tensor) -> Tensor:
    """Cepstral coefficients (n, 1, 10, 49) of scaled clips (n, 16000), float32."""
    centred = pad(x, ((FFT - WINDOW) // 2, 0))  # torch centres the window in the FFT, the reference lets it begin there
    return _mfcc(x.device)(centred).div_((2 * MEL_BANDS) ** 0.5).unsqueeze(1)


@cache
def _mfcc(device: torch.device) -> Callable[[Tensor], Tensor]:
    from torchaudio.transforms import MFCC

    spectrum = {"n_fft": FFT, "win_length": WINDOW, "hop_length": STRIDE, "power": 1.0, "center": False}
    mel = {"n_mels": MEL_BANDS, "f_min": 20.0, "f_max": 4000.0}
    transform = MFCC(RATE, COEFFICIENTS, norm=None, log_mels=True, melkwargs=spectrum | mel)
    return cast(Callable[[Tensor], Tensor], transform.to(device))
