"""Pack sizes: how many runs a device holds at once, from the estimated memory and from what once ran out of it."""

from __future__ import annotations
