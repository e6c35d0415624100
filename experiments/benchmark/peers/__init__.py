"""Benchmark of packs against other ways to train many small networks."""

from __future__ import annotations
