"""Additive Gaussian noise: ``x + e``, ``e ~ N(0, std²)`` (Walking Noise, section 3)."""

from __future__ import annotations

from walking_noise.noise.kind import Levels, NoiseKind

KIND = NoiseKind("additive", settings=(("std",),), levels=lambda std: Levels(0.0, std))
