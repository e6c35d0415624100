"""Noise from torch's generators, seeded anew for each member, step and noise point; the default sampler on a CPU.

It draws every kind of noise on every device, at the cost of several operations per member.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from walking_noise.noise.audit import Audit
from walking_noise.noise.member_noise import InjectMembers, MemberNoise, StepIndex
from walking_noise.reproducibility import stream_key


class GeneratorNoise:
    """Sampler with one generator, seeded with ``stream_key(seed, stream, *step, point)`` before each member's draw."""

    capturable = False

    def __init__(self, at_point: Sequence[Sequence[MemberNoise]], stream: str, device: torch.device) -> None:
        self.at_point, self.stream = at_point, stream
        self.generator = torch.Generator(device)

    def at(self, step: StepIndex) -> InjectMembers:
        def inject(point: int, x: Tensor, first: int, audit: Audit | None) -> Tensor:
            noises = [noise for noise in self.at_point[point] if first <= noise.member < first + len(x)]
            if not noises:
                return x
            index = step if isinstance(step, tuple) else tuple(step.tolist())
            y: Tensor = _Inject.apply(x, self, noises, first, point, index, audit)  # type: ignore[no-untyped-call]
            return y

        return inject

    def draw(
        self, noise: MemberNoise, point: int, step: tuple[int, ...], deviation: Tensor | None, added: Tensor | None
    ) -> None:
        """Draw ``s_mul·e1`` of a member into ``deviation`` and ``s_add·e2`` into ``added``; None: skip that term."""
        self.generator.manual_seed(stream_key(noise.seed, self.stream, *step, point))
        if deviation is not None:
            noise.draw(deviation, noise.mul, self.generator)
        if added is not None:
            noise.draw(added, noise.add, self.generator)


class _Inject(torch.autograd.Function):
    """Injection with its gradient.

    The backward pass multiplies by the factor (exact gradient) or passes the gradient on unchanged (straight-through).
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        sampler: GeneratorNoise,
        noises: Sequence[MemberNoise],
        first: int,
        point: int,
        step: tuple[int, ...],
        audit: Audit | None,
    ) -> Tensor:
        y = torch.empty_like(x) if len(noises) == len(x) else x.clone()
        xs, ys = x.unbind(), y.unbind()
        mul_scratch, add_scratch = torch.empty((2, *x.shape[1:]), device=x.device).unbind()
        ctx.factors = {}
        for noise in noises:
            row = noise.member - first
            keep_factor = noise.mul > 0 and noise.exact_gradient and ctx.needs_input_grad[0]
            deviation = None if noise.mul == 0 else torch.empty_like(mul_scratch) if keep_factor else mul_scratch
            added = None if noise.add == 0 else add_scratch
            sampler.draw(noise, point, step, deviation, added)
            if audit is not None:
                audit.record_terms(point, noise.member, deviation, added)
            factor = None if deviation is None else deviation.add_(1.0)
            _apply(xs[row], factor, added, noise.add_first, out=ys[row])
            if keep_factor:
                ctx.factors[row] = factor
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        if not ctx.factors:
            return gradient, *(None,) * 6
        result = torch.empty_like(gradient) if len(ctx.factors) == len(gradient) else gradient.clone()
        for row, factor in ctx.factors.items():
            torch.mul(gradient[row], factor, out=result[row])
        return result, *(None,) * 6


def _apply(x: Tensor, factor: Tensor | None, added: Tensor | None, add_first: bool, out: Tensor) -> None:
    """``x·factor + added``, or ``(x + added)·factor``; each operation rounded by itself."""
    if factor is None:
        assert added is not None
        torch.add(x, added, out=out)
    elif added is None:
        torch.mul(x, factor, out=out)
    elif add_first:
        torch.add(x, added, out=out)
        out.mul_(factor)
    else:
        torch.mul(x, factor, out=out)
        out.add_(added)
