"""What was really injected: the measured spread of the noise terms, and of the signal beside them.

The drawn terms are measured before they meet the signal, since beside a large x a small level vanishes in float32: an
added term below about 6e-8·|x|, or a factor's deviation below 6e-8, is drawn and then lost in the rounding of the sum.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from walking_noise.noise.kind import Levels

TOLERANCE = 7.0
"""Standard errors by which a measured spread may differ from the configured one: by chance once in 4e11."""

ROUNDING = 1e-5
"""By which a spread may always differ: float32 and the six digits that are kept."""


class Audit:
    """Sums over the audited draws and activations of a pack, per noise point and member, in float64."""

    def __init__(self, points: int, members: int) -> None:
        shape = (points, members)
        self._count = torch.zeros(shape, dtype=torch.float64)
        self._mul_squares = torch.zeros(shape, dtype=torch.float64)
        self._add_squares = torch.zeros(shape, dtype=torch.float64)
        self._signal_count = torch.zeros(points, dtype=torch.float64)
        self._signal_sum = torch.zeros(shape, dtype=torch.float64)
        self._signal_squares = torch.zeros(shape, dtype=torch.float64)

    def noise(self, point: int, member: int, deviation: Tensor | None, added: Tensor | None) -> None:
        """Count the terms drawn for one member at one point."""
        for squares, term in ((self._mul_squares, deviation), (self._add_squares, added)):
            if term is not None:
                squares[point, member] += term.double().square().sum().cpu()
        drawn = deviation if deviation is not None else added
        assert drawn is not None
        self._count[point, member] += drawn.numel()

    def signal(self, point: int, x: Tensor) -> None:
        """Count the activations ``(K, B, …)`` that arrive at a point."""
        values = x.detach().flatten(1).double()
        self._signal_count[point] += values.shape[1]
        self._signal_sum[point] += values.sum(1).cpu()
        self._signal_squares[point] += values.square().sum(1).cpu()

    def of(self, member: int) -> dict[str, Any]:
        """What was measured of one member: per point the spread of both terms and of the signal, None if nothing."""
        count = self._count[:, member]
        mul = (self._mul_squares[:, member] / count).sqrt()
        add = (self._add_squares[:, member] / count).sqrt()
        mean = self._signal_sum[:, member] / self._signal_count
        signal = (self._signal_squares[:, member] / self._signal_count - mean**2).clamp_min(0).sqrt()
        return {
            "std_mul": [_rounded(value) if value > 0 else None for value in mul],
            "std_add": [_rounded(value) if value > 0 else None for value in add],
            "signal": [_rounded(value) for value in signal],
            "draws": [int(value) for value in count],
        }


def mismatch(measured: dict[str, Any], levels: Sequence[Levels], kurtosis: float = 3.0) -> str | None:
    """The first point where the measured spread differs from the configured one by more than chance, in words.

    The standard error of a standard deviation measured on n draws is ``std * sqrt((kurtosis - 1) / (4 n))``.
    """
    for point, level in enumerate(levels):
        for name, wanted in (("std_mul", level.mul), ("std_add", level.add)):
            found, draws = measured[name][point], measured["draws"][point]
            if found is None and wanted == 0:
                continue
            chance = max(TOLERANCE * math.sqrt((kurtosis - 1) / (4 * max(draws, 1))), ROUNDING)
            if found is None or wanted == 0 or draws == 0 or abs(found / wanted - 1) > chance:
                return f"noise point {point}: {name} {wanted:g} was configured, {found} was injected"
    return None


def _rounded(value: Tensor) -> float | None:
    """Six significant digits; None for what is not finite (an overflown signal)."""
    number = float(value)
    return float(f"{number:.6g}") if math.isfinite(number) else None
