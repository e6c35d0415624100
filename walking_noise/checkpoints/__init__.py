"""Checkpoints of trainings, and the cache of trained networks."""

from __future__ import annotations
