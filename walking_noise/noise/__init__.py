"""What is injected: the kinds of noise, their levels per noise point, and the injection itself."""

from __future__ import annotations

from functools import cache

from walking_noise.noise import kinds
from walking_noise.noise.kind import Levels, NoiseKind
from walking_noise.registry import discover

__all__ = ["Levels", "NoiseKind", "noise_kinds"]


@cache
def noise_kinds() -> dict[str, NoiseKind]:
    """Every kind of noise, by name; one file in :mod:`walking_noise.noise.kinds` each."""
    return discover(kinds, "KIND")
