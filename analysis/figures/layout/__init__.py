"""Layout that all figures share: style, axes, and which series a figure shows."""

from __future__ import annotations
