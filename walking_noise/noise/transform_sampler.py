"""Sampler of kinds that compute a function of the activations; it draws nothing and is the same on every device."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from walking_noise.noise.audit import Audit
from walking_noise.noise.member_noise import InjectMembers, MemberNoise, StepIndex


class TransformSampler:
    """Application of the function of each member to its activations, member by member."""

    capturable = False

    def __init__(self, at_point: Sequence[Sequence[MemberNoise]]) -> None:
        self._at_point = at_point

    def at(self, step: StepIndex) -> InjectMembers:
        def inject(point: int, x: Tensor, first: int, audit: Audit | None) -> Tensor:
            chosen = [noise for noise in self._at_point[point] if first <= noise.member < first + len(x)]
            if not chosen:
                return x
            rows = list(x)
            for noise in chosen:
                assert noise.transform is not None
                values = rows[noise.member - first]
                y = rows[noise.member - first] = noise.transform.apply(values)
                if audit is not None:
                    bounds = noise.transform.bounds(values.detach(), y.detach())
                    audit.record_bounds(point, noise.member, y.numel(), bounds)
            return torch.empty_like(x).copy_(torch.stack(rows))

        return inject
