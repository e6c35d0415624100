"""Mixed Gaussian noise: multiplied and added (Walking Noise v2).

Given by an amplitude A and a ratio r in [0, 1], ``std_add = A·r`` and ``std_mul = A·(1-r)``, or by both levels.
"""

from __future__ import annotations

from walking_noise.noise.kind import Levels, NoiseKind


def levels(
    *,
    amplitude: float | None = None,
    ratio: float | None = None,
    std_mul: float | None = None,
    std_add: float | None = None,
) -> Levels:
    """Both levels, from amplitude and ratio or as they are given."""
    if amplitude is not None and ratio is not None:
        return Levels(amplitude * (1 - ratio), amplitude * ratio)
    assert std_mul is not None
    assert std_add is not None
    return Levels(std_mul, std_add)


KIND = NoiseKind("mixed", settings=(("amplitude", "ratio"), ("std_mul", "std_add")), levels=levels)
