"""Style of figures, and their files.

Each figure is written as PDF and PNG, and its numbers as CSV. The same input gives the same bytes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.style
import numpy as np
import pandas as pd
from fontTools import subset  # type: ignore[import-untyped]
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, MaxNLocator, NullFormatter
from PIL import Image

from analysis.tables.table_files import write_csv

_PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""The colours of Okabe and Ito, which people with any colour vision can distinguish."""

_MARKERS = ("o", "s", "^", "D", "v", "P", "X")

_LINES = ("-", (0, (5, 1.2)), (0, (4, 1, 1, 1)))
"""Line styles of the first seven series of a figure, of the next seven, and so on."""

SMALLEST = 6.5
"""Size of the smallest text, in points."""

INK = "#333333"
FAINT = "#8a8a8a"

STYLE = Path(__file__).with_name("figures.mplstyle")

WIDTH = 7.2
"""Width of the text on a page, in inches."""


_FEWEST_TICKS, _ROUNDING = 3, 1e-6

_COLORS = 256
"""Number of colours in PNG files. A palette makes them a third as large."""

# Tables of a font that a PDF does not need. Without them matplotlib embeds its fonts three times as fast. Matplotlib
# makes its own options, so that only their default can change; a fontTools without it makes PDFs slower, not wrong.
getattr(subset.Options, "_drop_tables_default", []).extend(["GSUB", "GPOS", "GDEF", "kern"])

_PDF = ContextVar("pdf", default=True)
"""Whether figures are also written as PDF."""

_LEGEND_HANDLE, _LEGEND_LETTER = 0.55, 0.055  # inches


@dataclass(frozen=True)
class Plot:
    """Written figure: stem of its file names, title, caption, width and height in inches, and endings of its files."""

    name: str
    title: str
    caption: str
    width: float
    height: float
    formats: tuple[str, ...] = ("pdf", "png", "csv")


def color_and_marker(number: int) -> tuple[str, str]:
    """Colour and marker of series ``number`` in a figure. Series of the same colour have different markers."""
    cycle, place = divmod(number, len(_PALETTE))
    return _PALETTE[place], _MARKERS[(place + cycle) % len(_MARKERS)]


def line_style(number: int) -> Any:
    """Line style of series ``number`` in a figure. Series of the same colour have different line styles."""
    return _LINES[number // len(_PALETTE) % len(_LINES)]


def legend_columns(labels: Sequence[str], width: float = WIDTH) -> int:
    """Largest number of columns of a legend that does not cut off a label. ``width`` is in inches."""
    widths = [_LEGEND_HANDLE + _LEGEND_LETTER * len(label) for label in labels]
    return len(labels) if sum(widths) <= width else max(1, int(width / max(widths)))


@contextmanager
def style(*, pdf: bool = True) -> Iterator[None]:
    """Context in which figures have the style of the report instead of the user's configuration of matplotlib.

    Without ``pdf``, no PDF of a figure is written.
    """
    before = _PDF.set(pdf)
    try:
        with matplotlib.rc_context():
            matplotlib.rcdefaults()
            matplotlib.style.use(STYLE)
            yield
    finally:
        _PDF.reset(before)


def save_figure(figure: Figure, numbers: pd.DataFrame, folder: Path, name: str, title: str, caption: str) -> Plot:
    """Write the files of a figure into ``folder``: PDF, PNG and the numbers as CSV."""
    if (layout := figure.get_layout_engine()) is not None:
        layout.execute(figure)
    undated = {"CreationDate": None, "Creator": None, "Producer": None}
    with matplotlib.rc_context({"figure.constrained_layout.use": False}):
        figure.set_layout_engine(None)  # with any layout engine, even "none", matplotlib draws each file twice
        if _PDF.get():
            figure.savefig(folder / f"{name}.pdf", metadata=undated)
        write_png(figure, folder / f"{name}.png")
    write_csv(numbers, folder / f"{name}.csv")
    width, height = map(float, figure.get_size_inches())
    return Plot(name, title, caption, width, height, Plot.formats if _PDF.get() else ("png", "csv"))


def write_png(figure: Figure, path: Path) -> None:
    """Write a figure as PNG with a palette of ``_COLORS`` colours, or with all colours if it has a colour map."""
    configured = matplotlib.rcParams["savefig.dpi"]
    dpi = figure.dpi if configured == "figure" else configured
    canvas = FigureCanvasAgg(figure)
    figure.dpi = dpi
    canvas.draw()  # type: ignore[no-untyped-call]
    colors = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")  # type: ignore[no-untyped-call]
    if not any(isinstance(each, QuadMesh) for axes in figure.axes for each in axes.collections):
        colors = colors.quantize(_COLORS, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
        # The octree rounds means down, so that white would be 254.
        colors.putpalette([value + (value == 254) for value in colors.getpalette() or ()])
    colors.save(path, dpi=(dpi, dpi))


def place_of_zero(levels: Sequence[float]) -> float:
    """Position of level 0 on a logarithmic axis: slightly left of the lowest level above 0."""
    low, high = _ends(levels)
    return low / 10 ** max(0.15, 0.1 * math.log10(high / low))


def level_ticks(low: float, high: float, most: int = 8) -> list[float]:
    """Round numbers between ``low`` and ``high`` as ticks of a level axis: at least two, at most about ``most``.

    The ticks are powers of ten, all or every second, third, …; if space allows for all, also their multiples by 3, or
    by 2 and 5. A range of less than a decade with too few of these levels has even steps.
    """
    powers = range(math.ceil(math.log10(low) - _ROUNDING), math.floor(math.log10(high) + _ROUNDING) + 1)
    if len(powers) > most:
        return [10.0**power for power in powers[:: math.ceil(len(powers) / most)]]
    around = range(powers.start - 1, powers.stop + 1)

    def ticks_at(*steps: int) -> list[float]:
        return _between(low, high, (step * 10.0**power for power in around for step in steps))

    ticks = next((fine for fine in (ticks_at(1, 2, 5), ticks_at(1, 3)) if len(fine) <= most), ticks_at(1))
    if high < 10 * low and len(ticks) < _FEWEST_TICKS:
        return _between(low, high, MaxNLocator(min(most, 5), steps=[1, 2, 5, 10]).tick_values(low, high))
    return ticks


def _between(low: float, high: float, ticks: Iterable[float]) -> list[float]:
    return [float(tick) for tick in ticks if low * (1 - _ROUNDING) <= tick <= high * (1 + _ROUNDING)]


def scale_levels(axes: Axes, levels: Sequence[float], most_ticks: int = 8, *, minor: bool = True) -> None:
    """Make x a logarithmic axis of noise levels. Level 0, if it occurs, is drawn at :func:`place_of_zero`."""
    low, high = _ends(levels)
    axes.set_xscale("log")
    ticks = level_ticks(low, high, most_ticks)
    names = tick_texts(ticks)
    left = low
    if 0 in levels:
        left = place_of_zero(levels)
        ticks, names = [left, *ticks], ["0", *names]
    _set_ticks(axes.xaxis, ticks, names, _minor_ticks(low, high) if minor else [])
    margin = (high / left) ** 0.03
    axes.set_xlim(left / margin, high * margin)


def scale_midpoints(axes: Axes, low: float, high: float, most_ticks: int = 8, *, minor: bool = True) -> None:
    """Make y a logarithmic axis of midpoints or other positive values."""
    axes.set_yscale("log")
    ticks = level_ticks(low, high, most_ticks)
    _set_ticks(axes.yaxis, ticks, tick_texts(ticks), _minor_ticks(low, high) if minor else [])
    axes.set_ylim(low, high)


def _set_ticks(axis: Axis, ticks: Sequence[float], names: Sequence[str], minor: Sequence[float]) -> None:
    axis.set_major_locator(FixedLocator(ticks))
    axis.set_major_formatter(FixedFormatter(names))
    axis.set_minor_locator(FixedLocator(minor))
    axis.set_minor_formatter(NullFormatter())


def _minor_ticks(low: float, high: float) -> list[float]:
    """Multiples of the powers of ten, unless there are too many of them."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    minor = [step * 10.0**power for power in powers for step in range(2, 10)] if len(powers) < 9 else []
    return [tick for tick in minor if low <= tick <= high]


def drawn_levels(levels: Sequence[float]) -> list[float]:
    """Positions of levels on the axis of :func:`scale_levels`."""
    return [level if level > 0 else place_of_zero(levels) for level in levels]


def _ends(levels: Sequence[float]) -> tuple[float, float]:
    positive = [level for level in levels if level > 0] or [1.0]
    low, high = min(positive), max(positive)
    return (low, high) if low < high else (low / 2, high * 2)


def tick_texts(ticks: Sequence[float]) -> list[str]:
    """Tick labels of an axis of levels: plain decimals if all lie in [0.001, 1000), otherwise all as powers of ten."""
    plain = all(_is_plain(tick) for tick in ticks)
    return [f"{tick:g}" if plain else _power_text(tick) for tick in ticks]


def level_text(value: float) -> str:
    """Text of a single level. Large and small levels are written as powers of ten with two digits."""
    return f"{value:g}" if _is_plain(value) else _power_text(value)


def _is_plain(value: float) -> bool:
    return value == 0 or 1e-3 * (1 - _ROUNDING) <= value < 1e3 * (1 - _ROUNDING)


def _power_text(value: float) -> str:
    if value == 0:
        return "0"
    mantissa, exponent = f"{value:.1e}".replace(".0e", "e").split("e")
    return (f"${mantissa}\\cdot" if mantissa != "1" else "$") + f"10^{{{int(exponent)}}}$"
