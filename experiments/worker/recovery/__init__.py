"""Recovery of runs whose worker ended without finishing them."""

from __future__ import annotations
