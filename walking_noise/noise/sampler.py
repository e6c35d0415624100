"""What every way of drawing and injecting noise offers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from walking_noise.noise.audit import Audit
from walking_noise.noise.member_noise import MemberNoise

StepIndex = tuple[int, ...] | Tensor
"""Where in a run: (step,) in training, (epoch, block) at inference; as numbers, or int64 on the device.

A tensor is read whenever noise is injected, so that it may change in between.
"""

Terms = tuple[Tensor | None, Tensor | None]
"""``s_mul·e1`` and ``s_add·e2``; None for a term at level 0."""


class InjectInto(Protocol):
    """Injects the noise of one place in the runs."""

    def __call__(self, point: int, x: Tensor, first: int, audit: Audit | None) -> Tensor:
        """Activations ``(k, B, …)`` of the members ``first``, …, ``first + k - 1`` with their noise.

        ``x`` itself if none of them is noisy at that point, as far as this method is in charge of them.
        """


class NoiseSampler(Protocol):
    """A way of drawing: in charge of some members of a pack, it passes the others on."""

    at_point: Sequence[Sequence[MemberNoise]]
    """The noise it is in charge of, by noise point."""

    capturable: bool
    """Whether a captured CUDA graph draws anew when it is replayed at another place."""

    def at(self, step: StepIndex) -> InjectInto:
        """The injection at one place of the runs."""

    def terms(self, noise: MemberNoise, point: int, step: tuple[int, ...], shape: torch.Size) -> Terms:
        """The terms that one member gets at one noise point, for activations ``(B, …)`` of that shape."""
