"""The pack: K networks of the same shape as one network."""

from __future__ import annotations
