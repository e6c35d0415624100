"""Types that the samplers of noise share: the noise of one member at one noise point, a step, an injection."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from walking_noise.noise.audit import Audit
from walking_noise.noise.kind import Transform

StepIndex = tuple[int, ...] | Tensor
"""Index of a step of the runs: (step,) in training, (epoch, block) at inference; integers, or int64 on the device.

A tensor is read each time noise is injected, so its content may change between two injections.
"""

InjectMembers = Callable[[int, Tensor, int, Audit | None], Tensor]
"""Injection of a sampler's noise at one step: (noise point, activations, first member, audit) -> noisy activations.

The activations ``(k, B, …)`` are those of k consecutive members of the pack; they are returned unchanged if the sampler
has no noise for these members at this point. The audit, if any, records the drawn noise.
"""


@dataclass(frozen=True)
class MemberNoise:
    """The noise of one member of a pack at one noise point: ``y = x·(1 + s_mul·e1) + s_add·e2``, or added first.

    With an exact gradient the backward pass multiplies the gradient by the factor, otherwise it passes the gradient on
    unchanged (straight-through).
    """

    member: int  # index of the member in the pack
    seed: int  # of its random stream
    mul: float  # the level s_mul
    add: float  # the level s_add
    add_first: bool  # whether the additive term is applied before the factor: ``(x + s_add·e2)·(1 + s_mul·e1)``
    exact_gradient: bool
    draw: Callable[[Tensor, torch.Generator], None]  # see :class:`walking_noise.noise.kind.NoiseKind`
    transform: Transform | None = None  # replaces the random terms; its functions take activations only
    for_batch: bool = False  # whether all samples of a batch have the same draws
    for_chip: bool = False  # whether all steps have the same draws
    unit: str = "absolute"  # of the level, see :func:`walking_noise.noise.level_units.level_units`
    per_channel: bool = False  # whether the unit is measured for each channel
    executions: int = 1  # whose mean is used; each has draws of its own
