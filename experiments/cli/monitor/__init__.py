"""Commands that follow studies and repair them."""

from __future__ import annotations
