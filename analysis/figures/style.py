"""How figures look, and how they are written: PDF, PNG and their numbers as CSV, the same bytes for the same input."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import matplotlib.style
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, NullFormatter

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's colours, told apart with any colour vision."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X")

INK = "#333333"
FAINT = "#8a8a8a"

STYLE = Path(__file__).with_name("figures.mplstyle")

WIDTH = 7.2
"""Inches: the text width of a page."""


@dataclass(frozen=True)
class Plot:
    """A figure that was written: the stem of its files, its title and caption, and its width in inches."""

    name: str
    title: str
    caption: str
    width: float


@contextmanager
def style() -> Iterator[None]:
    """Our look, whatever the user's own configuration of matplotlib says."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.style.use(STYLE)
        yield


def save(figure: Figure, numbers: pd.DataFrame, folder: Path, name: str, title: str, caption: str) -> Plot:
    """Write a figure's three files into ``folder``."""
    undated = {"CreationDate": None, "Creator": None, "Producer": None}
    figure.savefig(folder / f"{name}.pdf", metadata=undated)
    figure.savefig(folder / f"{name}.png", metadata={"Software": None})
    write_csv(numbers, folder / f"{name}.csv")
    return Plot(name, title, caption, float(figure.get_figwidth()))


def write_csv(table: pd.DataFrame, path: Path) -> None:
    """Write a table with six significant digits."""
    table.to_csv(path, index=False, float_format="%.6g", lineterminator="\n")


def place_of_zero(levels: Sequence[float]) -> float:
    """Where level 0 is drawn on a logarithmic axis: a little left of the lowest level."""
    low, high = _ends(levels)
    return low / 10 ** max(0.15, 0.07 * float(np.log10(high / low)))


def scale_levels(axes: Axes, levels: Sequence[float], most_ticks: int = 8) -> None:
    """Make x a logarithmic axis for noise levels, with level 0 at :func:`place_of_zero` if it is one of them."""
    low, high = _ends(levels)
    decades = float(np.log10(high / low))
    axes.set_xscale("log")
    steps = (1, 2, 5) if decades < 2.2 and most_ticks > 5 else (1,)
    powers = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    stride = int(np.ceil(len(powers) / most_ticks))
    ticks = [step * 10.0**power for power in powers[::stride] for step in steps]
    ticks = [tick for tick in ticks if low * 0.99 <= tick <= high * 1.01]
    names = [level_text(tick) for tick in ticks]
    left = low
    if 0 in levels:
        left = place_of_zero(levels)
        ticks, names = [left, *ticks], ["0", *names]
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_major_formatter(FixedFormatter(names))
    minor = [step * 10.0**power for power in powers for step in range(2, 10)] if decades < 7 else []
    axes.xaxis.set_minor_locator(FixedLocator([tick for tick in minor if low <= tick <= high]))
    axes.xaxis.set_minor_formatter(NullFormatter())
    margin = 10 ** (0.03 * float(np.log10(high / left)))
    axes.set_xlim(left / margin, high * margin)


def drawn(levels: Sequence[float]) -> list[float]:
    """Levels as they are drawn by :func:`scale_levels`."""
    return [level if level > 0 else place_of_zero(levels) for level in levels]


def _ends(levels: Sequence[float]) -> tuple[float, float]:
    positive = [level for level in levels if level > 0] or [1.0]
    low, high = min(positive), max(positive)
    return (low, high) if low < high else (low / 2, high * 2)


def level_text(value: float) -> str:
    """A level as a tick has it."""
    if 1e-3 < value < 1e3:
        return f"{value:g}"
    mantissa, exponent = f"{value:.0e}".split("e")
    return (f"${mantissa}\\cdot" if mantissa != "1" else "$") + f"10^{{{int(exponent)}}}$"
