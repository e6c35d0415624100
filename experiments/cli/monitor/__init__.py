"""Commands that monitor studies and recover lost work."""

from __future__ import annotations
