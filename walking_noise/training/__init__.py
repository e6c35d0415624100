"""Training of a pack: the trainer, its members, the training step, Adam, and the detection of divergence."""

from __future__ import annotations
