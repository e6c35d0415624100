"""Midpoint noise levels: curves of the repetitions, midpoints with intervals and flags, contrasts, and refinement."""

from __future__ import annotations

from analysis.midpoints.from_python import estimate

__all__ = ["estimate"]
