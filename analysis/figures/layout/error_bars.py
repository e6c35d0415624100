"""Error bars: above the markers and in a darker shade of their colour, so that markers do not hide them."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from numpy.typing import ArrayLike

from analysis.figures.layout.style import color_and_marker

_SHADE, _ABOVE = 0.6, 3

_WIDTH = 0.9  # points


def draw_bars(axes: Axes, x: ArrayLike, low: ArrayLike, high: ArrayLike, number: int) -> None:
    """Draw the bars of series ``number`` from ``low`` to ``high`` at ``x``, where both ends are known and differ.

    They have no caps, which would make short bars unreadable. The limits of the axes do not change.
    """
    ends = np.array([x, low, high], dtype=float)
    x, low, high = ends[:, np.isfinite(ends).all(axis=0) & (ends[1] < ends[2])]
    color = [_SHADE * part for part in to_rgb(color_and_marker(number)[0])]
    segments = np.stack([np.stack([x, low], axis=-1), np.stack([x, high], axis=-1)], axis=1)
    axes.add_collection(LineCollection(list(segments), colors=[color], linewidths=_WIDTH, zorder=_ABOVE), autolim=False)
