"""Additive noise with a uniform distribution: ``x + e``, ``e ~ U(-√3·std, √3·std)``, of standard deviation std.

It is the usual model of the rounding error of a converter with steps of ``√12·std`` (Bennett 1948, Spectra of quantized
signals).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from walking_noise.noise.kind import Levels, NoiseKind

if TYPE_CHECKING:
    import torch

HALF_WIDTH = 3**0.5
"""Half-width of the uniform distribution of standard deviation 1."""


def draw(out: torch.Tensor, generator: torch.Generator) -> None:
    """Fill ``out`` with independent draws of U(-√3, √3)."""
    out.uniform_(-HALF_WIDTH, HALF_WIDTH, generator=generator)


KIND = NoiseKind("uniform", settings=(("std",),), levels=lambda std: Levels(0.0, std), draw=draw, kurtosis=1.8)
