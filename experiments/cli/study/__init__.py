"""Commands that plan, add, start and probe studies."""

from __future__ import annotations
