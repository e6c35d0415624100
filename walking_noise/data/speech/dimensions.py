"""Dimensions of recordings and of their features."""

from __future__ import annotations

RATE = 16_000
"""Samples per second."""
SECOND = RATE
"""Samples in a clip of one second."""
COEFFICIENTS, FRAMES = 10, 49
