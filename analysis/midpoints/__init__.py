"""Midpoint noise levels: weighted fits of robustness curves, intervals of the midpoints, and flags."""

from __future__ import annotations

from analysis.midpoints.from_python import estimate

__all__ = ["estimate"]
