"""Status of studies: progress, failures, hours, checkpoints."""

from __future__ import annotations
