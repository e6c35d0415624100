"""Mean absolute weight of each layer over the level of the noise after it (beside Table II of Walking Noise v1)."""

from __future__ import annotations

from pathlib import Path

from analysis import at_points
from analysis.figures.over_level import Quantity
from analysis.figures.over_level import draw as draw_quantity
from analysis.figures.style import Plot
from analysis.kinds import has_one_level
from analysis.study import Study

WEIGHTS = Quantity(
    name="weights",
    title="mean absolute weight",
    axis="mean |weight| of the layer",
    shown=has_one_level,
    at=at_points.mean_abs_weight,
    panels="A panel per conv or linear layer, with noise at the point after it.",
)


def draw(study: Study, folder: Path) -> list[Plot]:
    """A figure per data set, model and noise kind, under global and under walking noise."""
    return draw_quantity(WEIGHTS, study, folder)
