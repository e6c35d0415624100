"""Residual paths beside an axis of noise points: an arc for each, from the point before its block to its sum."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import PathPatch
from matplotlib.path import Path

from analysis.figures.layout.style import INK
from walking_noise.models.point import Point

CAPTION = (
    "Arcs: residual paths, from the last noise point before a block to the sum behind it (+); dashed where the values "
    "change their shape, as in a downsampling block. Every second block is shaded."
)
_CURVE = [Path.MOVETO, Path.CURVE4, Path.CURVE4, Path.CURVE4]
_HEIGHT = {"x": 0.1, "y": 0.05}
"""Height of the control points of an arc above an axis, as a share of the length of the other axis."""
TITLE = 14
"""Distance of the title from the panel, in points."""


def sums(points: Sequence[Point]) -> list[Point]:
    """The noise points at residual sums."""
    return [point for point in points if point.residual_from is not None]


def path_handles(points: Sequence[Point]) -> list[Line2D]:
    """A line for each entry of the legend; none if no noise point is at a sum."""
    styles = {"-": "residual path", "--": "residual path to another shape"}
    occurring = {_style(point) for point in sums(points)}
    return [Line2D([], [], color=INK, linewidth=0.9, ls=one, label=styles[one]) for one in styles if one in occurring]


def draw_paths(axes: Axes, points: Sequence[Point], along: Literal["x", "y"]) -> None:
    """Draw the residual paths above the panel if the noise points are along x, and on its right if they are along y."""
    across = axes.get_xaxis_transform() if along == "x" else axes.get_yaxis_transform()
    span, top = axes.axvspan if along == "x" else axes.axhspan, 1 + _HEIGHT[along]
    for number, point in enumerate(sums(points)):
        begin, end = float(point.residual_from or 0), float(point.number)
        if number % 2 == 0:
            span(begin + 0.5, end + 0.5, color=INK, alpha=0.07, linewidth=0, zorder=0)
        corners = [(begin, 1.0), (begin, top), (end, top), (end, 1.0)]
        arc = Path([corner if along == "x" else corner[::-1] for corner in corners], _CURVE)
        look = {"fill": False, "color": INK, "linewidth": 0.9, "linestyle": _style(point)}
        axes.add_patch(PathPatch(arc, transform=across, clip_on=False, **look))
    if sums(points) and along == "x":
        axes.set_title(axes.get_title(rcParams["axes.titlelocation"]), pad=TITLE)


def _style(point: Point) -> Literal["-", "--"]:
    return "--" if point.reshaped else "-"
