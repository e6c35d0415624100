"""Adam for all members of a pack: the optimizer, and its update rules for CPUs, for GPUs and as a reference."""

from __future__ import annotations
