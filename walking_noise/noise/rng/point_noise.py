"""Noise of a pack at one noise point, as vectors over the members."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import torch
from torch import Tensor

from walking_noise.noise.member_noise import MemberNoise
from walking_noise.reproducibility import stream_key

CHUNK = 8
"""Most members that share one draw.

A GPU program draws once for a chunk and then applies the noise to one member after another. Eight members leave an
eighth of the draws, and larger chunks save little more; they would leave a GPU fewer programs, each a longer loop. The
number follows from this count of draws; its speed has not been measured on a GPU.
"""


@dataclass(frozen=True)
class PointNoise:
    """The noise of k members at one noise point; every vector is ``(k,)`` and is on the device."""

    point: int
    keys: Tensor  # int64: the bits of the members' 64-bit stream keys
    mul: Tensor  # float32: the level of the factor; 0 for a member without it
    add: Tensor  # float32: the level of the added term; 0 for a member without it
    add_first: Tensor  # int32: 1 for the order ``(x + s_add·e2)·(1 + s_mul·e1)``, else 0
    chunks: Tensor | None = None  # int32 (chunks, CHUNK): see :func:`chunks_that_share_draws`; None: none share draws

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
            chunks_that_share_draws(noises, members, device),
        )

    @classmethod
    def of_gradients(
        cls, point: int, noises: Sequence[MemberNoise], stream: str, members: int, device: torch.device
    ) -> PointNoise | None:
        """The factors that multiply the gradients of members with exact gradients; None if no member has one."""
        factors = [replace(noise, add=0.0) for noise in noises if noise.mul > 0 and noise.exact_gradient]
        return cls.of(point, factors, stream, members, device) if factors else None

    def rows(self, first: int, count: int) -> PointNoise:
        """The noise of the members ``first``, …, ``first + count - 1``; a part of the members shares no draws."""
        if count == len(self.keys):
            return self
        vectors = (self.keys, self.mul, self.add, self.add_first)
        return PointNoise(self.point, *(vector[first : first + count] for vector in vectors))


def chunks_that_share_draws(noises: Sequence[MemberNoise], members: int, device: torch.device) -> Tensor | None:
    """The members of a pack by their draws, ``(chunks, CHUNK)``, int32; -1 fills the rows. None if none share draws.

    The members of a row have one seed, since draws do not depend on the level. A member without noise is alone.
    """
    chunks: list[list[int]] = []
    by_seed = sorted(noises, key=lambda noise: (noise.seed, noise.mul > 0, noise.add > 0))
    for _, group in groupby(by_seed, key=lambda noise: noise.seed):
        sharing = [noise.member for noise in group]
        chunks += (sharing[start : start + CHUNK] for start in range(0, len(sharing), CHUNK))
    chunks += ([member] for member in sorted(set(range(members)) - {noise.member for noise in noises}))
    if len(chunks) == members:
        return None
    filled = [chunk + [-1] * (CHUNK - len(chunk)) for chunk in chunks]
    return torch.tensor(filled, dtype=torch.int32, device=device)


def _signed(bits: int) -> int:
    """The signed number in [-2⁶³, 2⁶³) with the same 64 bits."""
    return (bits ^ 1 << 63) - (1 << 63)
