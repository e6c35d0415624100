"""Noise: its kinds, its levels per noise point, random sampling, injection into activations, and the audit."""

from __future__ import annotations

from functools import cache

from walking_noise.noise import kinds
from walking_noise.noise.kind import Levels, NoiseKind, Transform
from walking_noise.registry import discover

__all__ = ["Levels", "NoiseKind", "Transform", "noise_kinds"]


@cache
def noise_kinds() -> dict[str, NoiseKind]:
    """All kinds of noise, by name; each is one module of :mod:`walking_noise.noise.kinds`."""
    return discover(kinds, "KIND")
