"""How studies stand: progress, failures, hours, checkpoints."""

from __future__ import annotations
