"""Figure of the signal-to-noise ratio over the level (v2: training with additive noise improves it)."""

from __future__ import annotations

from pathlib import Path

from analysis.figures.layout.quantity_panels import Quantity
from analysis.figures.layout.quantity_panels import draw as draw_quantity
from analysis.figures.layout.style import Plot
from analysis.midpoints.study import Study
from analysis.runs import point_quantities
from analysis.runs.noise_kinds import multiplies, only_adds

SIGNAL_TO_NOISE = Quantity(
    name="signal-to-noise",
    title="signal-to-noise ratio",
    axis="signal-to-noise ratio at the point",
    shown=only_adds,
    at=point_quantities.signal_to_noise,
    panels=(
        "Ratio of the standard deviation of the activations that arrive at each noisy point at inference to that of "
        "the noise injected there. Under global noise the activations include the noise of the points before. "
        "Level 0 has no ratio."
    ),
)

SIGNAL = Quantity(
    name="signal",
    title="spread of the signal",
    axis="standard deviation of the activations",
    shown=multiplies,
    at=point_quantities.signal,
    panels=(
        "Standard deviation of the activations that arrive at each noisy point at inference. Multiplicative noise "
        "grows with the signal: the signal-to-noise ratio is always 1/level, and training changes the signal."
    ),
)


def draw(study: Study, folder: Path) -> list[Plot]:
    """Draw the signal-to-noise ratio under additive noise, and the signal under multiplicative noise."""
    return [plot for quantity in (SIGNAL_TO_NOISE, SIGNAL) for plot in draw_quantity(quantity, study, folder)]
