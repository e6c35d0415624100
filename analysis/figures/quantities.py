"""Figures of quantities over the level: signal-to-noise ratio, spread of the signal, and weights.

According to v2, training with additive noise improves the signal-to-noise ratio. The weights are the mean absolute
weights of each layer over the level of the noise after it (cf. v1, Table II).
"""

from __future__ import annotations

from pathlib import Path

from analysis.figures.layout.quantity_panels import Quantity, draw
from analysis.figures.layout.style import Plot
from analysis.midpoints.study import Study
from analysis.runs import point_quantities
from analysis.runs.noise_kinds import has_one_level, multiplies, only_adds

SIGNAL_TO_NOISE = Quantity(
    name="signal-to-noise",
    title="signal-to-noise ratio",
    axis="signal-to-noise ratio at the point",
    shown=only_adds,
    at=point_quantities.signal_to_noise,
    needs=("signal", "noise.kind", "level"),
    panels=(
        "Standard deviation of the activations that arrive at each noisy point at inference, divided by that of the "
        "noise injected there. Under global noise the activations include the noise of the points before. "
        "Level 0 has no ratio."
    ),
)

SIGNAL = Quantity(
    name="signal",
    title="spread of the signal",
    axis="standard deviation of the activations",
    shown=multiplies,
    at=point_quantities.signal,
    needs=("signal",),
    panels=(
        "Standard deviation of the activations that arrive at each noisy point at inference. Multiplicative noise "
        "grows with the signal: the signal-to-noise ratio is always 1/level, and training changes the signal."
    ),
)


WEIGHTS = Quantity(
    name="weights",
    title="mean absolute weight",
    axis="mean |weight| of the layer",
    shown=has_one_level,
    at=point_quantities.mean_abs_weight,
    needs=("mean_abs_weight", "points"),
    panels="Each panel shows a conv or linear layer with noise at the point after it.",
)


def draw_signal(study: Study, folder: Path) -> list[Plot]:
    """Draw the signal-to-noise ratio under additive noise, and the signal under multiplicative noise."""
    return [plot for quantity in (SIGNAL_TO_NOISE, SIGNAL) for plot in draw(quantity, study, folder)]


def draw_weights(study: Study, folder: Path) -> list[Plot]:
    """A figure per data set, model and noise kind, under global and under walking noise."""
    return draw(WEIGHTS, study, folder)
