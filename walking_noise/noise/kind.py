"""Kind of noise: the mapping from settings to levels, and the distribution."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import torch


class Levels(NamedTuple):
    """Standard deviations at one noise point: of the factor's deviation from 1, and of the added term."""

    mul: float
    add: float


def gaussian(out: torch.Tensor, generator: torch.Generator) -> None:
    """Fill ``out`` with independent draws of N(0, 1)."""
    out.normal_(generator=generator)


@dataclass(frozen=True)
class NoiseKind:
    """A kind of noise: the mapping from its settings to levels, and the distribution of its draws.

    Every kind computes ``y = x·(1 + s_mul·e1) + s_add·e2``, or ``(x + s_add·e2)·(1 + s_mul·e1)`` if added first. e1 and
    e2 are independent random numbers with mean 0 and standard deviation 1; s_mul and s_add are the levels.

    Attributes
    ----------
    name
        The value of ``noise.kind`` that selects this kind.
    settings
        The alternative sets of ``noise`` settings that determine the levels; a run must give exactly one of the sets.
    levels
        ``levels(**settings)`` returns the standard deviations for the values of one set of settings.
    draw
        ``draw(out, generator)`` fills a contiguous tensor with independent draws of mean 0 and standard deviation 1,
        which are then multiplied by the level. On a GPU, Gaussian noise is drawn for all members at once. Other
        distributions are drawn there seed by seed, and their packs cannot be captured as CUDA graphs.
    kurtosis
        Kurtosis of the distribution, E[e⁴] / E[e²]²: 3 for a Gaussian, 1.8 for a uniform distribution. It determines
        the standard error of a measured standard deviation (:func:`walking_noise.noise.audit.mismatch`).
    """

    name: str
    settings: tuple[tuple[str, ...], ...]
    levels: Callable[..., Levels]
    draw: Callable[[torch.Tensor, torch.Generator], None] = gaussian
    kurtosis: float = 3.0

    @property
    def multiplies(self) -> bool:
        """Whether this kind has a multiplicative term."""
        return self._levels_at_half().mul > 0

    @property
    def adds(self) -> bool:
        """Whether this kind has an additive term."""
        return self._levels_at_half().add > 0

    def _levels_at_half(self) -> Levels:
        """The levels if every setting is 0.5, so that no term that this kind has is at level 0."""
        return self.levels(**dict.fromkeys(self.settings[0], 0.5))
