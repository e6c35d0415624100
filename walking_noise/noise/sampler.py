"""Interface of the noise samplers, which draw the noise of members and inject it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from walking_noise.noise.audit import Audit
from walking_noise.noise.member_noise import MemberNoise

StepIndex = tuple[int, ...] | Tensor
"""Index of a step of the runs: (step,) in training, (epoch, block) at inference; integers, or int64 on the device.

A tensor is read each time noise is injected, so its content may change between two injections.
"""

NoiseTerms = tuple[Tensor | None, Tensor | None]
"""``s_mul·e1`` and ``s_add·e2``; None for a term at level 0."""


class InjectMembers(Protocol):
    """Injection of a sampler's noise at one step of the runs, into consecutive members of the pack."""

    def __call__(self, point: int, x: Tensor, first: int, audit: Audit | None) -> Tensor:
        """The activations with noise.

        Parameters
        ----------
        point
            Number of the noise point.
        x
            Activations ``(k, B, …)`` of the members ``first``, …, ``first + k - 1``.
        audit
            Records the drawn noise; None: it is not recorded.

        Returns
        -------
        Tensor
            ``(k, B, …)``; ``x`` itself if the sampler has no noise for these members at this point.
        """


class NoiseSampler(Protocol):
    """Sampler of the noise of some members of a pack; the activations of the other members pass unchanged."""

    at_point: Sequence[Sequence[MemberNoise]]
    """The noise that this sampler draws, by noise point."""

    capturable: bool
    """Whether a CUDA graph of the injection draws new noise when it is replayed at another step."""

    def at(self, step: StepIndex) -> InjectMembers:
        """The injection at one step of the runs."""

    def terms(self, noise: MemberNoise, point: int, step: tuple[int, ...], shape: torch.Size) -> NoiseTerms:
        """The noise terms of one member at one noise point, for activations ``(B, …)`` of the given shape."""
