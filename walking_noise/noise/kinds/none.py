"""Absence of noise: both terms at level 0."""

from __future__ import annotations

from walking_noise.noise.kind import Levels, NoiseKind

KIND = NoiseKind("none", settings=((),), levels=lambda: Levels(0.0, 0.0))
