"""Fixtures of other folders."""

from __future__ import annotations

from tests.walking_noise.parts import add_file as add_file
