"""Commands that plan, add, start and extend studies."""

from __future__ import annotations
