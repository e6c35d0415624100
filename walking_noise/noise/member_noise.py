"""Which member of a pack gets which noise, at which noise point."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from walking_noise.config.run_config import RunConfig


@dataclass(frozen=True)
class MemberNoise:
    """The noise of one member of a pack at one noise point: ``y = x·(1 + s_mul·e1) + s_add·e2``, or added first."""

    member: int
    seed: int
    mul: float
    add: float
    add_first: bool
    exact_gradient: bool
    draw: Callable[[Tensor, float, torch.Generator], None]


def noise_by_point(configs: Sequence[RunConfig], stream: str) -> list[list[MemberNoise]]:
    """The noise at every noise point, in the order of the members; none for a member at level 0.

    In the stream ``"training"``, keyed by ``seed``, only runs trained with noise are noisy; the other is
    ``"inference"``, keyed by ``noise.seed``.
    """
    at_point: list[list[MemberNoise]] = [[] for _ in configs[0].points]
    for member, config in enumerate(configs):
        if stream == "training" and not config.noisy_training:
            continue
        seed = config.seed if stream == "training" else config.noise_seed
        for point, level in enumerate(config.levels):
            if max(level) > 0:
                at_point[point].append(
                    MemberNoise(
                        member,
                        seed,
                        level.mul,
                        level.add,
                        config.noise.order == "add_first",
                        config.noise.gradient == "exact",
                        config.noise_kind.draw,
                    )
                )
    return at_point
