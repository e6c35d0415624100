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
from walking_noise.pack.stacking import StackedState, expand_rows

TOLERANCE = 7.0
"""Standard errors by which a measured spread may differ from the configured one: by chance once in 4e11."""

ROUNDING = 1e-5
"""By which a spread may always differ: float32 and the six digits that are kept."""


CHUNK = 2**23
"""Activations widened to float64 at once, so that an audit needs little memory beside the pack."""


class Audit:
    """Sums over the audited draws and activations of a pack, per noise point and member, in float64.

    They stay on the device, which is not waited for until :meth:`of` reads them.
    """

    def __init__(self, points: int, members: int, device: torch.device | None = None) -> None:
        self._members = members
        self._sums = torch.zeros(6, points, members, dtype=torch.float64, device=device)

    def noise(self, point: int, member: int, deviation: Tensor | None, added: Tensor | None) -> None:
        """Count the terms drawn for one member at one point."""
        drawn = deviation if deviation is not None else added
        assert drawn is not None
        none = drawn.new_zeros((), dtype=torch.float64)
        squares = [none if term is None else term.double().square().sum() for term in (deviation, added)]
        self.draws(point, member, torch.stack([none + drawn.numel(), *squares]).unsqueeze(1))

    def draws(self, point: int, first: int, sums: Tensor) -> None:
        """Count what was drawn for k members from ``first`` on: ``(3, k)``, float64.

        These are the number of elements that got noise, and the sums of the squares of the factors' deviations from 1
        and of the added terms.
        """
        self._sums[:3, point, first : first + sums.shape[1]] += sums.to(self._sums.device)

    def signal(self, point: int, x: Tensor, member: int | None = None) -> None:
        """Count what arrives at a point: activations ``(rows, B, …)`` of all members, or ``(1, B, …)`` of one."""
        at_once = max(1, CHUNK // x[0].numel())
        sums = torch.cat([_moments(rows) for rows in x.detach().split(at_once)], 1).to(self._sums.device)
        chosen = slice(None) if member is None else slice(member, member + 1)
        members = self._members if member is None else 1
        self._sums[3:, point, chosen] += expand_rows(members, sums.T).T

    def stacked_state(self) -> StackedState:
        """The sums of every member."""
        return {"sums": self._sums.movedim(-1, 0)}

    def of(self, member: int) -> dict[str, Any]:
        """What was measured of one member: per point the spread of both terms and of the signal, None if nothing."""
        count, mul_squares, add_squares, signal_count, signal_sum, signal_squares = self._sums[:, :, member].cpu()
        signal = (signal_squares / signal_count - (signal_sum / signal_count) ** 2).clamp_min(0).sqrt()
        return {
            "std_mul": [_rounded(value) if value > 0 else None for value in (mul_squares / count).sqrt()],
            "std_add": [_rounded(value) if value > 0 else None for value in (add_squares / count).sqrt()],
            "signal": [_rounded(value) for value in signal],
            "draws": [int(value) for value in count],
        }


def _moments(x: Tensor) -> Tensor:
    """The number of values of each row ``(rows, …)``, their sum and that of their squares, ``(3, rows)``."""
    values = x.flatten(1).double()
    sums = values.sum(1)
    return torch.stack([torch.full_like(sums, values.shape[1]), sums, values.square().sum(1)])


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
