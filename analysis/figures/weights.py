"""Figure of the mean absolute weight of each layer over the level of the noise after it (cf. v1, Table II)."""

from __future__ import annotations

from pathlib import Path

from analysis.figures.layout.quantity_panels import Quantity
from analysis.figures.layout.quantity_panels import draw as draw_quantity
from analysis.figures.layout.style import Plot
from analysis.midpoints.study import Study
from analysis.runs import point_quantities
from analysis.runs.noise_kinds import has_one_level

WEIGHTS = Quantity(
    name="weights",
    title="mean absolute weight",
    axis="mean |weight| of the layer",
    shown=has_one_level,
    at=point_quantities.mean_abs_weight,
    panels="Each panel shows a conv or linear layer with noise at the point after it.",
)


def draw(study: Study, folder: Path) -> list[Plot]:
    """A figure per data set, model and noise kind, under global and under walking noise."""
    return draw_quantity(WEIGHTS, study, folder)
