"""Mixed Gaussian noise: a multiplicative and an additive term (Walking Noise v2).

Its settings are either both standard deviations, or an amplitude A and a ratio r in [0, 1] with ``std_add = A·r`` and
``std_mul = A·(1-r)``.
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
    """The levels of both terms, computed from amplitude and ratio, or given directly."""
    if amplitude is not None and ratio is not None:
        return Levels(amplitude * (1 - ratio), amplitude * ratio)
    assert std_mul is not None
    assert std_add is not None
    return Levels(std_mul, std_add)


KIND = NoiseKind("mixed", settings=(("amplitude", "ratio"), ("std_mul", "std_add")), levels=levels)
