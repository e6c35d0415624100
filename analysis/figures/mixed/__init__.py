"""Figures of mixed noise."""

from __future__ import annotations
