"""Quantisation to b bits, as by an ideal analog-to-digital converter at the noise point; it draws no random numbers.

With the lower and the upper end l and h of the range::

    y = l + Δ · round((clip(x, l, h) - l) / Δ),   Δ = (h - l) / (2^b - 1)

These are 2^b codes, the first at l and the last at h, and an error of at most Δ/2 within the range (Jacob et al. 2018,
Quantization and training of neural networks for efficient integer-arithmetic-only inference, eq. 12; Δ is the least
significant bit of the converter). Values halfway between two codes are rounded to the even one. Without ``noise.range``
the range of each sample is that of its own values at the noise point, as of a converter with automatic gain; then the
outputs of a ReLU use all codes and 0 stays 0.

The level is the step relative to the range, ``1 / (2^b - 1)``: it grows as the accuracy falls, is 1 for one bit, and is
log2(1 + 1/level) bits. The gradient passes the rounding unchanged (straight-through estimator, Bengio et al. 2013), and
is 0 where a value is clipped.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, Field

from walking_noise.fields.setting_groups import ADDED_LATER, Group
from walking_noise.fields.setting_types import LIST, REAL, WHOLE, in_words
from walking_noise.noise.kind import Levels, NoiseKind, Transform

if TYPE_CHECKING:
    from torch import Tensor

MOST_BITS = 16
"""Most bits: float32 holds the codes of more, but rounds them by a considerable part of a step."""

ROUNDING = 2.0**-20
"""Rounding of a value by float32, relative to the end of the range with the larger magnitude."""


def _range(ends: tuple[float, float]) -> tuple[float, float]:
    if not ends[0] < ends[1]:
        raise ValueError
    return ends


Bits = Annotated[int, Field(ge=0, le=MOST_BITS), WHOLE]
BitsPerPoint = Annotated[tuple[Bits, ...], LIST, in_words("a list of them, one for each noise point")]
End = Annotated[float, REAL]
Range = Annotated[tuple[End, End], LIST, AfterValidator(_range), in_words("a list of two numbers, the lower one first")]


class Settings(Group):
    """Settings of quantisation."""

    bits: Annotated[Bits | BitsPerPoint | None, ADDED_LATER] = None
    """Quantisation: number of bits b of the converter, for 2^b codes; 0: no quantisation. Its level is
    1 / (2^b - 1)."""
    range: Annotated[Range | None, ADDED_LATER] = None
    """Quantisation: range of the converter, clipped outside; default: from the smallest to the largest value of each
    sample."""


def levels(bits: float) -> Levels:
    """The step relative to the range; 0 without quantisation."""
    return Levels(0.0, 0.0, 1 / (2**bits - 1) if bits else 0.0)


def quantise(x: Tensor, level: float, range: tuple[float, float] | None = None) -> Tensor:
    """Activations ``(B, …)`` rounded to steps of ``level`` times the range; a sample of equal values stays as it is."""
    low, high = _ends(x, range)
    clipped = x.clamp(low, high)
    step = (high - low) * level
    y = (((clipped.detach() - low) / step).round() * step + low).where(step > 0, clipped.detach())
    return y + (clipped - clipped.detach())  # the value of y, bit for bit, with the gradient of clipped


def bounds(x: Tensor, y: Tensor, range: tuple[float, float] | None = None) -> tuple[Tensor, Tensor]:
    """The lowest and the highest step, relative to the range, that agree with input x and output y.

    An error of e within the range takes a step of at least 2·e. Two different values of one sample are at least one
    step apart. The rounding of float32 is allowed for.
    """
    x, y = x.double(), y.double()
    low, high = _ends(x, range)
    error = (y - x.clamp(low, high)).abs().flatten(1).amax(1)
    values = y.flatten(1).sort(1).values
    gaps = values.diff(dim=1, append=values.new_full((len(values), 1), math.inf))
    gap = gaps.where(gaps > 0, math.inf).amin(1)
    low, high = (end.expand(len(x), *(1,) * (x.dim() - 1)).flatten() for end in (low, high))
    rounding, span = low.abs().maximum(high.abs()) * ROUNDING, high - low
    lowest, highest = 2 * (error - rounding) / span, (gap + rounding) / span
    valid = (span > 0) & span.isfinite() & error.isfinite() & ~values.isnan().any(1)
    return lowest.where(valid, 0.0).amax().clamp_min(0), highest.where(valid, math.inf).amin()


def _ends(x: Tensor, range: tuple[float, float] | None) -> tuple[Tensor, Tensor]:
    """The ends of the range of each sample ``(B, 1, …)``, or the given ones ``()``."""
    if range is not None:
        low, high = x.new_tensor(range).unbind()
        return low, high
    dimensions = tuple(-1 - number for number, _ in enumerate(x.shape[1:]))
    values = x.detach()
    return values.amin(dimensions, keepdim=True), values.amax(dimensions, keepdim=True)


KIND = NoiseKind(
    "quantisation",
    settings=(("bits",),),
    levels=levels,
    own=Settings,
    transform=Transform(quantise, bounds, "relative step"),
)
