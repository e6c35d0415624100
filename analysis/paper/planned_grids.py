"""Where runs are planned: files below ``seml_configs``, in words."""

from __future__ import annotations

from collections.abc import Iterable

COARSE = "coarse.yaml"
"""The grid that plans the papers' studies in small, for the MLP on MNIST."""


def planned_grids_sentence(grids: Iterable[str]) -> str:
    """The sentence that names the grids which plan some runs; nothing without any."""
    files = {grid: f"seml_configs/{grid}" for grid in grids}
    in_small = files.pop(COARSE, None)
    if not files:
        return ""
    return f"Planned in {', '.join(files.values())}" + (f" or, in small, in {in_small}" if in_small else "") + "."
