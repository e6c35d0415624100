"""Signal-to-noise ratio at each noise point over the level (v2: training with additive noise improves it)."""

from __future__ import annotations

from pathlib import Path

from analysis.figures.layout.style import Plot
from analysis.figures.over_level import Quantity
from analysis.figures.over_level import draw as draw_quantity
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
        "At each noisy point, the standard deviation of the activations that arrive there at inference over that of "
        "the noise they get; under global noise the activations carry the noise of the points before. Level 0 has "
        "no ratio."
    ),
)

SIGNAL = Quantity(
    name="signal",
    title="spread of the signal",
    axis="standard deviation of the activations",
    shown=multiplies,
    at=point_quantities.signal,
    panels=(
        "At each noisy point, the standard deviation of the activations that arrive there at inference. Multiplicative "
        "noise grows with the signal: its ratio is 1/level, whatever is learned; what training changes is the signal."
    ),
)


def draw(study: Study, folder: Path) -> list[Plot]:
    """The signal-to-noise ratio under noise that only adds; the signal under noise that multiplies."""
    return [plot for quantity in (SIGNAL_TO_NOISE, SIGNAL) for plot in draw_quantity(quantity, study, folder)]
