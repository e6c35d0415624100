"""Multiplicative Gaussian noise: ``x · f``, ``f ~ N(1, std²)`` (Walking Noise, section 3)."""

from __future__ import annotations

from walking_noise.noise.kind import Levels, NoiseKind

KIND = NoiseKind("multiplicative", settings=(("std",),), levels=lambda std: Levels(std, 0.0))
