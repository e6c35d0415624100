"""Checkpoints of trainings, the cache of trained networks, and the provenance of results."""

from __future__ import annotations
