"""Scales of swept settings: linear or logarithmic for levels, logit for mixing ratios, which crowd at 0 and 1."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from matplotlib.axis import Axis
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator
from numpy.typing import NDArray

from analysis.figures.layout.style import level_text, level_ticks

Array = NDArray[np.float64]
Form = Literal["linear", "log", "logit"]

DECADES = 1.5
"""Levels that span more decades than this have a logarithmic axis."""

_FEWEST_TICKS, _MOST_TICKS = 3, 7

_NEAR = 0.1
"""Distance on a logit axis up to which a round ratio outside of the values counts as one of them."""


@dataclass(frozen=True)
class Scale:
    """Scale of the values of one setting on an axis.

    A value without a finite position (0 on a logarithmic axis; 0 and 1 among ratios) is drawn one step beyond the
    others.

    Attributes
    ----------
    form
        ``linear``; ``log``: log10 of the value; ``logit``: log10(r / (1 - r)).
    values
        Distinct values, the lowest first.
    """

    form: Form
    values: tuple[float, ...]

    @classmethod
    def of_levels(cls, levels: Iterable[float]) -> Scale:
        """Logarithmic scale if the levels span decades, otherwise a linear one."""
        distinct = tuple(sorted(set(levels)))
        positive = [level for level in distinct if level > 0]
        spans = len(positive) > 1 and math.log10(positive[-1] / positive[0]) > DECADES
        return cls("log" if spans else "linear", distinct)

    @classmethod
    def of_ratios(cls, ratios: Iterable[float]) -> Scale:
        """Logit scale of mixing ratios."""
        return cls("logit", tuple(sorted(set(ratios))))

    def positions(self, values: Iterable[float] | None = None) -> Array:
        """Positions of values, by default those of the scale: ``(values,)``, in units of the axis."""
        exact: Array = self._exact(self.values if values is None else values)
        own = self._exact(self.values)
        finite = own[np.isfinite(own)]
        if len(finite) == 0:
            return np.zeros(len(exact), dtype=np.float64)
        step = float(np.median(np.diff(finite))) if len(finite) > 1 else 1.0
        clipped: Array = np.clip(exact, finite[0] - step, finite[-1] + step)
        return clipped

    @property
    def edges(self) -> Array:
        """Borders between the cells of the values: ``(values + 1,)``, in units of the axis."""
        positions = self.positions()
        if len(positions) == 1:
            return np.array([positions[0] - 0.5, positions[0] + 0.5])
        between = (positions[1:] + positions[:-1]) / 2
        return np.concatenate([[2 * positions[0] - between[0]], between, [2 * positions[-1] - between[-1]]])

    def label(self, axis: Axis, most: int = _MOST_TICKS) -> None:
        """Set at most about ``most`` ticks on an axis that is drawn in units of this scale."""
        ticks, names = zip(*self._ticks(most), strict=True)
        axis.set_major_locator(FixedLocator(list(self.positions(ticks))))
        axis.set_major_formatter(FixedFormatter(list(names)))
        axis.set_minor_locator(NullLocator())

    def _exact(self, values: Iterable[float]) -> Array:
        linear: Array = np.array(list(values), dtype=float)
        if self.form == "linear":
            return linear
        with np.errstate(divide="ignore"):
            exact: Array = np.log10(linear) - (np.log10(1 - linear) if self.form == "logit" else 0.0)
        return exact

    def _ticks(self, most: int) -> list[tuple[float, str]]:
        if self.form == "logit":
            return [(ratio, ratio_text(ratio)) for ratio in self._round_ratios(most) or self._spread(most)]
        if self.form == "linear":
            return [(level, level_text(level)) for level in self._spread(most)]
        zero = [0.0] if self.values[0] == 0 else []
        positive = [value for value in self.values if value > 0]
        return [(level, level_text(level)) for level in [*zero, *level_ticks(positive[0], positive[-1], most)]]

    def _round_ratios(self, most: int) -> list[float]:
        """Ratios 0.5, 10**-k and 1 - 10**-k, all or every second, third, … k, and 0 and 1 if they occur.

        Empty if there are fewer than three.
        """
        ends = {value: float(at) for value, at in zip(self.values, self.positions(), strict=True) if value in (0, 1)}
        finite = [float(at) for value, at in zip(self.values, self.positions(), strict=True) if value not in ends]
        low, high = min(finite, default=0) - _NEAR, max(finite, default=0) + _NEAR
        powers = range(math.ceil(low), math.floor(high) + 1)
        step = max(1, math.ceil(len(powers) / (most - len(ends))))
        near = {0.0: min(finite, default=0) + step / 2, 1.0: max(finite, default=0) - step / 2}
        inner = [
            power for power in powers
            if power % step == 0 and not (0 in ends and power < near[0.0]) and not (1 in ends and power > near[1.0])
        ]  # fmt: skip
        ratios = [0.5 if power == 0 else 10.0**power if power < 0 else 1 - 10.0**-power for power in inner]
        return sorted({*ends, *ratios}) if len(ratios) + len(ends) >= _FEWEST_TICKS else []

    def _spread(self, most: int) -> list[float]:
        """Some of the values, far enough apart on the axis for their tick labels."""
        positions = self.positions()
        distance = (positions[-1] - positions[0]) / most
        chosen = [0]
        for number, position in enumerate(positions):
            if position - positions[chosen[-1]] >= distance:
                chosen.append(number)
        return [self.values[number] for number in chosen]


def ratio_text(ratio: float) -> str:
    """Tick label of a mixing ratio. A ratio close to 1 is written as its distance from 1."""
    if 0.9 < ratio < 1 and 1 - ratio < 1e-3:
        return f"1−{level_text(float(f'{1 - ratio:.1g}'))}"
    return level_text(ratio) if ratio else "0"
