"""Adam for all members of a pack: the optimizer, and an update rule each for CPUs, for GPUs and as the reference."""

from __future__ import annotations
