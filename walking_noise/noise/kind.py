"""What a kind of noise is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch


class Levels(NamedTuple):
    """Standard deviations at one noise point: of the factor's deviation from 1, and of the added term."""

    mul: float
    add: float


def gaussian(out: torch.Tensor, std: float, generator: torch.Generator) -> None:
    """Fill ``out`` with independent draws of N(0, std²)."""
    out.normal_(0.0, std, generator=generator)


@dataclass(frozen=True)
class NoiseKind:
    """A kind of noise: how its settings become levels, and from which distribution it draws.

    Every kind acts as ``y = x·(1 + s_mul·e1) + s_add·e2`` (or added first), e1 and e2 independent with mean 0 and
    standard deviation 1.

    Attributes
    ----------
    name
        Its value of ``noise.kind``.
    settings
        The sets of ``noise`` settings that give its level; exactly one of them must be given.
    levels
        ``levels(**settings)``: the standard deviations for numbers of these settings.
    draw
        ``draw(out, std, generator)`` fills a contiguous tensor with independent draws of mean 0 and that standard
        deviation. A GPU draws Gaussian noise for all members at once; what draws in another way works there too, member
        by member, and keeps its pack from being captured as a CUDA graph.
    kurtosis
        Of the distribution, E[e⁴] / E[e²]²; 3 for a Gaussian, 1.8 for a uniform one. It says how far the spread of
        a sample may by chance be from the configured one.
    """

    name: str
    settings: tuple[tuple[str, ...], ...]
    levels: Callable[..., Levels]
    draw: Callable[[torch.Tensor, float, torch.Generator], None] = gaussian
    kurtosis: float = 3.0

    @property
    def multiplies(self) -> bool:
        """Whether it has a multiplicative term."""
        return self._levels_at_half().mul > 0

    @property
    def adds(self) -> bool:
        """Whether it has an additive term."""
        return self._levels_at_half().add > 0

    def _levels_at_half(self) -> Levels:
        return self.levels(**dict.fromkeys(self.settings[0], 0.5))
