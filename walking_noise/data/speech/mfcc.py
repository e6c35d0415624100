"""Mel-frequency cepstral coefficients of MLPerf Tiny's keyword spotting: 10 coefficients in 49 frames per second.

The steps are those of the reference implementation, computed with torchaudio's transforms: division of a clip by its
maximum; magnitude spectrum of 30 ms every 20 ms (Hann window, FFT of 512); 40 mel bands from 20 to 4000 Hz;
log(x + 1e-6); discrete cosine transform in HTK's scale, truncated to the first 10 coefficients.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import cast

import torch
from torch import Tensor
from torch.nn.functional import pad

from walking_noise.data.speech.dimensions import COEFFICIENTS, RATE

MEL_BANDS = 40
WINDOW, STRIDE, FFT = 480, 320, 512
VERSION = 1
"""Version of the computed numbers, which are cached on disk; to be increased with every change of the numbers."""


def scaled(clips: Tensor) -> Tensor:
    """Clips, int16 (n, samples), divided by their maximum, as float32; clips without positive samples are not scaled.

    As in the reference, this is the maximum of the samples, not of their magnitudes. Negative results can be below -1.
    """
    return clips / clips.amax(1, keepdim=True).clamp(min=1)


def features(x: Tensor) -> Tensor:
    """The cepstral coefficients, float32 (n, 1, 10, 49), of scaled clips ``x`` (n, 16000)."""
    centred = pad(x, ((FFT - WINDOW) // 2, 0))  # torch centres the window in the FFT, the reference does not
    return _mfcc(x.device)(centred).div_((2 * MEL_BANDS) ** 0.5).unsqueeze(1)


@cache
def _mfcc(device: torch.device) -> Callable[[Tensor], Tensor]:
    """Torchaudio's transform on ``device``."""
    from torchaudio.transforms import MFCC

    spectrum = {"n_fft": FFT, "win_length": WINDOW, "hop_length": STRIDE, "power": 1.0, "center": False}
    mel = {"n_mels": MEL_BANDS, "f_min": 20.0, "f_max": 4000.0}
    transform = MFCC(RATE, COEFFICIENTS, norm=None, log_mels=True, melkwargs=spectrum | mel)
    return cast(Callable[[Tensor], Tensor], transform.to(device))
