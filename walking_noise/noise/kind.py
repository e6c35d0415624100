"""Kind of noise: its settings, their mapping to levels, and the distribution or a function of the activations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import torch

    from walking_noise.fields.setting_groups import Group


class Levels(NamedTuple):
    """Levels at one noise point; all are 0 without noise."""

    mul: float  # standard deviation of the factor's deviation from 1
    add: float  # standard deviation of the added term
    transform: float = 0.0  # level of the function of a kind that has one


@dataclass(frozen=True)
class Transform:
    """A deterministic function of the activations, for a kind that is not a sum of random terms.

    Both functions take activations ``(B, …)`` of one run, compute every sample by itself, and take the settings of the
    kind that are no levels by name.

    Attributes
    ----------
    apply
        ``apply(x, level, **settings)`` returns the activations that the run continues with. The gradient is that of
        autograd.
    bounds
        ``bounds(x, y, **settings)`` returns the lowest and the highest level that agree with the input x and the output
        y, two tensors ``()``, for the audit.
    level_name
        The level in words, for the axes of figures.
    """

    apply: Callable[..., torch.Tensor]
    bounds: Callable[..., tuple[torch.Tensor, torch.Tensor]]
    level_name: str

    def at(self, level: float, settings: Mapping[str, Any]) -> Transform:
        """The same function at a level and with settings, so that it takes activations only."""
        return replace(
            self, apply=partial(self.apply, level=level, **settings), bounds=partial(self.bounds, **settings)
        )


def gaussian(out: torch.Tensor, generator: torch.Generator) -> None:
    """Fill ``out`` with independent draws of N(0, 1)."""
    out.normal_(generator=generator)


@dataclass(frozen=True)
class NoiseKind:
    """A kind of noise: the mapping from its settings to levels, and the distribution of its draws.

    A kind without ``transform`` computes ``y = x·(1 + s_mul·e1) + s_add·e2``, or ``(x + s_add·e2)·(1 + s_mul·e1)`` if
    added first. e1 and e2 are independent random numbers with mean 0 and standard deviation 1; s_mul and s_add are the
    levels.

    Attributes
    ----------
    name
        The value of ``noise.kind`` that selects this kind.
    settings
        The alternative sets of ``noise`` settings that determine the levels; a run must give exactly one of the sets.
    levels
        ``levels(**settings)`` returns the levels for the values of one set of settings.
    draw
        ``draw(out, generator)`` fills a contiguous tensor with independent draws of mean 0 and standard deviation 1,
        which are then multiplied by the level. On a GPU, Gaussian noise is drawn for all members at once. Other
        distributions are drawn there seed by seed, and their packs cannot be captured as CUDA graphs.
    kurtosis
        Kurtosis of the distribution, E[e⁴] / E[e²]²: 3 for a Gaussian, 1.8 for a uniform distribution. It determines
        the standard error of a measured standard deviation (:func:`walking_noise.noise.audit.mismatch`).
    own
        Settings that only this kind has: fields that become settings ``noise.…`` of a run, levels or not. The default
        of each is the value without effect, and each is marked as added later.
    transform
        A function that replaces the random terms.
    """

    name: str
    settings: tuple[tuple[str, ...], ...]
    levels: Callable[..., Levels]
    draw: Callable[[torch.Tensor, torch.Generator], None] = gaussian
    kurtosis: float = 3.0
    own: type[Group] | None = None
    transform: Transform | None = None

    @cached_property
    def options(self) -> tuple[str, ...]:
        """The own settings that are no levels."""
        fields = self.own.model_fields if self.own else ()
        return tuple(name for name in fields if not any(name in names for names in self.settings))

    @property
    def level_setting(self) -> str | None:
        """The setting that gives the level by itself; None if it takes several."""
        return next((names[0] for names in self.settings if len(names) == 1), None)

    def at_level(self, level: Any) -> Levels:
        """The levels of a kind with one level."""
        return Levels(0.0, 0.0, level) if self.transform else self.levels(**{str(self.level_setting): level})

    @property
    def is_gaussian(self) -> bool:
        """Whether the terms are Gaussian, so that a GPU draws them for all members at once."""
        return self.draw is gaussian and self.transform is None

    @property
    def has_effect(self) -> bool:
        """Whether this kind changes activations at a level above 0."""
        return max(self._levels_at_half) > 0

    @property
    def multiplies(self) -> bool:
        """Whether this kind has a multiplicative term."""
        return self._levels_at_half.mul > 0

    @property
    def adds(self) -> bool:
        """Whether this kind has an additive term."""
        return self._levels_at_half.add > 0

    @cached_property
    def _levels_at_half(self) -> Levels:
        """The levels if every setting is 0.5, so that no term that this kind has is at level 0."""
        return self.levels(**dict.fromkeys(self.settings[0], 0.5))
