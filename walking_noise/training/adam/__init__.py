"""Adam for all members of a pack: the optimizer, and its update rules for CPUs and for GPUs."""

from __future__ import annotations
