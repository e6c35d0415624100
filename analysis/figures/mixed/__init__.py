"""Figures of mixed noise: maps, ratios and points."""

from __future__ import annotations
