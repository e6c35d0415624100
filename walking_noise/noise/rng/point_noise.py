"""Noise of a pack at one noise point, as vectors over the members."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from walking_noise.noise.member_noise import MemberNoise
from walking_noise.reproducibility import stream_key


@dataclass(frozen=True)
class PointNoise:
    """The noise of k members at one noise point; every vector is ``(k,)`` and is on the device."""

    point: int
    keys: Tensor  # int64: the bits of the members' 64-bit stream keys
    mul: Tensor  # float32: the level of the factor; 0 for a member without it
    add: Tensor  # float32: the level of the added term; 0 for a member without it
    add_first: Tensor  # int32: 1 for the order ``(x + s_add·e2)·(1 + s_mul·e1)``, else 0

    @classmethod
    def of(
        cls, point: int, noises: Sequence[MemberNoise], stream: str, members: int, device: torch.device
    ) -> PointNoise:
        """The noise of all members; members without noise at this point are at level 0."""
        rows = {noise.member: noise for noise in noises}

        def vector(value: Callable[[MemberNoise], float], dtype: torch.dtype) -> Tensor:
            values = [value(rows[member]) if member in rows else 0 for member in range(members)]
            return torch.tensor(values, dtype=dtype, device=device)

        return cls(
            point,
            vector(lambda noise: _signed(stream_key(noise.seed, stream)), torch.int64),
            vector(lambda noise: noise.mul, torch.float32),
            vector(lambda noise: noise.add, torch.float32),
            vector(lambda noise: noise.add_first, torch.int32),
        )

    @classmethod
    def of_gradients(
        cls, point: int, noises: Sequence[MemberNoise], stream: str, members: int, device: torch.device
    ) -> PointNoise | None:
        """The factors that multiply the gradients of members with exact gradients; None if no member has one."""
        factors = [replace(noise, add=0.0) for noise in noises if noise.mul > 0 and noise.exact_gradient]
        return cls.of(point, factors, stream, members, device) if factors else None

    def rows(self, first: int, count: int) -> PointNoise:
        """The noise of the members ``first``, …, ``first + count - 1``."""
        if count == len(self.keys):
            return self
        vectors = (self.keys, self.mul, self.add, self.add_first)
        return PointNoise(self.point, *(vector[first : first + count] for vector in vectors))


def _signed(bits: int) -> int:
    """The signed number in [-2⁶³, 2⁶³) with the same 64 bits."""
    return (bits ^ 1 << 63) - (1 << 63)
