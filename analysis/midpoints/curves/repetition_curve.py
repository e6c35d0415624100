"""Robustness curve of one repetition: a falling curve through its accuracies, and the levels where it crosses a share.

The curve assumes only that the accuracy does not rise with the level. Isotonic regression gives the closest falling
accuracies (Barlow et al. 1972). Between the levels, monotone cubic interpolation (PCHIP; Fritsch and Carlson 1980) of
their logits over ``x = log10(level)`` gives the level of a crossing. On the logit scale a logistic is a straight line,
so that the interpolation is exact for a logistic, and close for other falls.

A *share* is the part that is left of what there is to lose: 1 at the noise-free accuracy ``a_max``, 0 at the accuracy
that is the end of the fall. ``a_max`` is the mean accuracy at the levels before the fall, level 0 included. The end is
either the chance accuracy, or the curve's own ``a_min``, the mean accuracy at the levels after the fall.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator
from scipy.optimize import isotonic_regression
from scipy.special import logit

from analysis.midpoints.flags import Flag

Array = NDArray[np.float64]

ON_PLATEAU = 0.01
"""A level is before (after) the fall where the falling accuracy is within this share of its highest (lowest) value."""

SMALLEST_SHARE = 0.005
"""Shares closer to 0 or 1 are noise; they are replaced by this distance."""

SMALLEST_LOSS = 0.01
"""Smallest share whose level is computed, and smallest distance of a share from 1."""


@dataclass(frozen=True, eq=False)
class RepetitionCurve:
    """Falling curve of one repetition.

    Attributes
    ----------
    level : (levels,)
        Levels, the lowest first. The first may be 0.
    accuracy : (levels,)
        Accuracies in [0, 1].
    noise_free
        Noise-free accuracy, if it is known better than from the levels before the fall.
    """

    level: Array
    accuracy: Array
    noise_free: float | None = None
    _logits: dict[float, PchipInterpolator] = field(default_factory=dict, init=False, repr=False)
    """Interpolation of the logits of the shares over log10(level), for each end of the fall."""

    @cached_property
    def falling(self) -> Array:
        """The closest accuracies that do not rise with the level: (levels,)."""
        falling: Array = isotonic_regression(self.accuracy, increasing=False).x
        return falling

    @cached_property
    def a_max(self) -> float:
        """Noise-free accuracy: the given one, or the mean over the levels before the fall."""
        if self.noise_free is not None:
            return self.noise_free
        return float(self.accuracy[self.falling >= self.falling[0] - self._tolerance].mean())

    @cached_property
    def a_min(self) -> float:
        """Accuracy after the fall: the mean over the levels there."""
        return float(self.accuracy[self.falling <= self.falling[-1] + self._tolerance].mean())

    @property
    def ends_on_plateau(self) -> bool:
        """Whether the fall has ended: at most a tenth of it lies in the last eighth of the range of log10(level)."""
        x, falling = np.log10(self.level[self.level > 0]), self.falling[self.level > 0]
        if len(x) < 2:
            return False
        start = min(int(np.searchsorted(x, x[-1] - (x[-1] - x[0]) / 8, side="right")) - 1, len(x) - 2)
        return bool(falling[start] - falling[-1] <= 0.1 * (self.falling[0] - falling[-1]))

    @property
    def _tolerance(self) -> float:
        return ON_PLATEAU * float(self.falling[0] - self.falling[-1])

    def shares(self, end: float) -> Array:
        """Share that is left at each level, of what there is to lose between ``a_max`` and ``end``: (levels,)."""
        return (self.falling - end) / (self.a_max - end)

    def level_at(self, share: float, end: float) -> float | Flag:
        """Level at which ``share`` is left, or the flag of the end of the sampled levels beyond which it lies.

        Parameters
        ----------
        share
            In [SMALLEST_LOSS, 1 - SMALLEST_LOSS].
        end
            Accuracy at the end of the fall, below ``a_max``.
        """
        sampled = self.level > 0
        shares = self.shares(end)[sampled]
        if shares[0] < share:
            return Flag.BELOW_RANGE
        if shares[-1] > share:
            return Flag.ABOVE_RANGE
        if end not in self._logits:
            logits = logit(shares.clip(SMALLEST_SHARE, 1 - SMALLEST_SHARE))
            self._logits[end] = PchipInterpolator(np.log10(self.level[sampled]), logits)
        height = logit(share)
        crossings = self._logits[end].solve(height, extrapolate=False)
        crossings = crossings[np.isfinite(crossings)]
        if len(crossings):
            return float(10 ** crossings.mean())
        # Rounding can hide a crossing at the first or last level.
        x = self._logits[end].x
        return float(10 ** x[np.abs(self._logits[end](x) - height).argmin()])
