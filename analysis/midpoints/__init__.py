"""Midpoint noise levels: the fits of robustness curves, their intervals and flags."""

from __future__ import annotations
