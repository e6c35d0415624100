"""Midpoint noise levels: curves of the repetitions, midpoints with intervals and flags, contrasts, and refinement."""

from __future__ import annotations

from analysis.midpoints.from_python import estimate
from analysis.midpoints.trained_network import look

__all__ = ["estimate", "look"]
