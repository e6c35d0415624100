"""The figures of the report. Each is drawn if the series allow it; otherwise the report says what is lacking."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from analysis.figures import epochs, points, robustness
from analysis.figures.style import Plot, style
from analysis.progress import track
from analysis.study import FittedSeries

__all__ = ["Plot", "draw_all"]

Draw = Callable[[Sequence[FittedSeries], Path], list[Plot]]

FIGURES: dict[str, tuple[Draw, str]] = {
    "Midpoint noise level at each noise point": (
        points.draw, "needs completed runs of at least five levels with noise.point set to the number of a noise point",
    ),
    "Robustness curves under global noise": (
        robustness.draw_global, "needs completed runs with noise.point: global",
    ),
    "Robustness curves of walking noise": (
        robustness.draw_walking, "needs completed runs with noise.point set to the number of a noise point",
    ),
    "Accuracy over the epochs": (
        epochs.draw, "needs completed runs under global noise, trained with it, with evaluation.curve: true",
    ),
}  # fmt: skip


def draw_all(fitted: Sequence[FittedSeries], folder: Path) -> dict[str, list[Plot] | str]:
    """Draw every figure into ``folder``. Returns for each heading the figures written, or what they need."""
    drawn: dict[str, list[Plot] | str] = {}
    with style():
        for heading, (draw, needs) in track(FIGURES.items(), "figures drawn", len(FIGURES)):
            drawn[heading] = draw(fitted, folder) or needs
    return drawn
