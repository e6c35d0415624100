"""Sentence that names the grid files below ``seml_configs`` that plan the required runs."""

from __future__ import annotations

from collections.abc import Iterable

COARSE = "coarse.yaml"
"""Grid that plans the papers' studies at a small scale, for the MLP on MNIST."""


def planned_grids_sentence(grids: Iterable[str]) -> str:
    """``Planned in FILE, FILE.``; the coarse grid is named last. An empty text without grids."""
    files = {grid: f"seml_configs/{grid}" for grid in grids}
    coarse = files.pop(COARSE, None)
    if not files:
        return ""
    return f"Planned in {', '.join(files.values())}" + (f" or, at a small scale, in {coarse}" if coarse else "") + "."
