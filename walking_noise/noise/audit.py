"""Audit of the injected noise: measured standard deviations of noise terms and signal, bounds of other levels.

The drawn terms are measured before they are combined with the signal, since a small level vanishes in float32 next to a
large x: an added term below about 6e-8·|x|, or a factor's deviation from 1 below 6e-8, is drawn and then lost in the
rounding of the result.
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
"""Standard normal deviations by which a measured level may differ from the configured one; chance exceeds them once in
4e11."""

ROUNDING = 1e-5
"""Relative difference that is always allowed, for float32 and for the six digits that are stored."""

CHUNK = 2**23
"""Activations converted to float64 at a time, so that an audit needs little memory compared with the pack."""


class Audit:
    """Sums over the recorded draws and activations of a pack, per noise point and member, in float64.

    The sums stay on the device. Only :meth:`of` reads them and waits for the device.
    """

    def __init__(self, points: int, members: int, device: torch.device | None = None) -> None:
        self._members = members
        self._sums = torch.zeros(6, points, members, dtype=torch.float64, device=device)
        self._bounds = torch.full((2, points, members), -math.inf, dtype=torch.float64, device=device)

    def record_terms(self, point: int, member: int, deviation: Tensor | None, added: Tensor | None) -> None:
        """Record the terms drawn for one member at one noise point; None for a term at level 0."""
        drawn = deviation if deviation is not None else added
        assert drawn is not None
        none = drawn.new_zeros((), dtype=torch.float64)
        squares = [none if term is None else term.double().square().sum() for term in (deviation, added)]
        self.record_sums(point, member, torch.stack([none + drawn.numel(), *squares]).unsqueeze(1))

    def record_sums(self, point: int, first: int, sums: Tensor) -> None:
        """Record the draws of the k members ``first``, …, ``first + k - 1`` at one noise point.

        Parameters
        ----------
        sums
            ``(3, k)``, float64: the number of elements with noise, the sum of the squares of the factors' deviations
            from 1, and the sum of the squares of the added terms.
        """
        self._sums[:3, point, first : first + sums.shape[1]] += sums.to(self._sums.device)

    def record_bounds(self, point: int, member: int, count: int, bounds: tuple[Tensor, Tensor]) -> None:
        """Record the lowest and the highest level that agree with ``count`` activations of one member."""
        lowest, highest = bounds
        self._sums[0, point, member] += count
        new = torch.stack([lowest, -highest]).to(self._bounds)
        self._bounds[:, point, member] = self._bounds[:, point, member].maximum(new)

    def record_signal(self, point: int, x: Tensor, member: int | None = None) -> None:
        """Record the input of a noise point: activations ``(rows, B, …)`` of all members, or ``(1, B, …)`` of one."""
        rows_per_chunk = max(1, CHUNK // x[0].numel())
        sums = torch.cat([_moments(rows) for rows in x.detach().split(rows_per_chunk)], 1).to(self._sums.device)
        recorded = slice(None) if member is None else slice(member, member + 1)
        members = self._members if member is None else 1
        self._sums[3:, point, recorded] += expand_rows(members, sums.T).T

    def stacked_state(self) -> StackedState:
        """The sums of every member, with the members in the first dimension."""
        return {"sums": self._sums.movedim(-1, 0), "bounds": self._bounds.movedim(-1, 0)}

    def of(self, member: int) -> dict[str, Any]:
        """The measurements of one member, each a list over the noise points.

        ``std_mul`` and ``std_add`` are the standard deviations of the two terms, None where none was drawn. ``signal``
        is the standard deviation of the input, None where it is not finite. ``draws`` is the number of elements with
        noise. ``lowest_level`` and ``highest_level``, which only runs with a
        :class:`~walking_noise.noise.kind.Transform` have, are the bounds of the level of its function; None where it
        was not applied, or nothing limits the level.
        """
        count, mul_squares, add_squares, signal_count, signal_sum, signal_squares = self._sums[:, :, member].cpu()
        signal = (signal_squares / signal_count - (signal_sum / signal_count) ** 2).clamp_min(0).sqrt()
        lowest, highest = self._bounds[0, :, member].cpu(), -self._bounds[1, :, member].cpu()
        bounds = {"lowest_level": [*map(_rounded, lowest)], "highest_level": [*map(_rounded, highest)]}
        return {
            "std_mul": [_rounded(value) if value > 0 else None for value in (mul_squares / count).sqrt()],
            "std_add": [_rounded(value) if value > 0 else None for value in (add_squares / count).sqrt()],
            "signal": [_rounded(value) for value in signal],
            "draws": [int(value) for value in count],
            **(bounds if bool(lowest.isfinite().any()) else {}),
        }


def _moments(x: Tensor) -> Tensor:
    """The number of values in each row of ``(rows, …)``, their sum and the sum of their squares, ``(3, rows)``."""
    values = x.flatten(1).double()
    sums = values.sum(1)
    return torch.stack([torch.full_like(sums, values.shape[1]), sums, values.square().sum(1)])


def mismatch(
    measured: dict[str, Any], levels: Sequence[Levels], kurtosis: float = 3.0, repetitions: int = 1
) -> str | None:
    """A message for the first noise point whose measured level differs from the configured one by more than chance.

    None if all levels agree. For n independent draws, n·(measured / configured)² has the χ² distribution with n degrees
    of freedom if the noise is Gaussian; with another kurtosis, as many degrees of freedom as give the same variance.
    The level of a function must lie within its measured bounds. ``measured`` comes from :meth:`Audit.of`; ``levels``
    are the configured ones, by noise point. ``repetitions``: how often each draw was recorded.
    """
    nowhere = [None] * len(levels)
    for point, level in enumerate(levels):
        lowest, highest = (measured.get(f"{name}_level", nowhere)[point] for name in ("lowest", "highest"))
        if level.transform > 0 or lowest is not None:
            most = math.inf if highest is None else highest
            if lowest is None or not lowest * (1 - ROUNDING) <= level.transform <= most * (1 + ROUNDING):
                applied = "nothing was applied" if lowest is None else f"between {lowest:g} and {most:g} was applied"
                return f"noise point {point}: level {level.transform:g} was configured, {applied}"
        for name, configured in (("std_mul", level.mul), ("std_add", level.add)):
            injected, draws = measured[name][point], measured["draws"][point]
            if injected is None and configured == 0:
                continue
            lowest, highest = _ratios(draws / repetitions * 2 / (kurtosis - 1)) if draws else (0.0, 0.0)
            if injected is None or configured == 0 or not lowest <= injected / configured <= highest:
                return f"noise point {point}: {name} {configured:g} was configured, {injected} was injected"
    return None


def _ratios(degrees: float) -> tuple[float, float]:
    """The lowest and highest ratio of a measured to the true standard deviation that chance explains.

    The quantiles of χ² are those of Wilson and Hilferty (1931), at :data:`TOLERANCE` standard normal deviations.
    """
    variance = 2 / (9 * degrees)
    spread = TOLERANCE * math.sqrt(variance)
    cube_roots = (max(0.0, 1 - variance + sign * spread) for sign in (-1, 1))
    lowest, highest = (root**1.5 for root in cube_roots)
    return min(lowest, 1 - ROUNDING), max(highest, 1 + ROUNDING)


def _rounded(value: Tensor) -> float | None:
    """The value with six significant digits; None if it is not finite, as after an overflow of the signal."""
    number = float(value)
    return float(f"{number:.6g}") if math.isfinite(number) else None
