"""Adam for all members of a pack: the optimizer, and one update rule each for CPUs, GPUs and as a reference."""

from __future__ import annotations
