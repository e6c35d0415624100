"""Noise from torch's generators, seeded anew for each seed, step and noise point; the default sampler on a CPU.

It draws every kind of noise on every device, at the cost of several operations per member. Draws do not depend on the
level, so members with the same seed share them, each scaled by its own level.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from walking_noise.cpu_kernels.noise_terms import NoiseTerms
from walking_noise.noise.audit import Audit
from walking_noise.noise.member_noise import InjectMembers, MemberNoise, StepIndex
from walking_noise.reproducibility import stream_key

Terms = Iterator[tuple[int, NoiseTerms]]
"""Index of a member in the pack, and its noise."""


@dataclass(frozen=True)
class SharedDraws:
    """Members of a pack that share their draws at one noise point: they have the same seed, distribution and terms."""

    seed: int
    draw: Callable[[Tensor, torch.Generator], None]
    multiplies: bool
    adds: bool
    members: tuple[MemberNoise, ...]


class GeneratorNoise:
    """Sampler with one generator, seeded with ``stream_key(seed, stream, *step, point)`` before each draw."""

    capturable = False

    def __init__(self, at_point: Sequence[Sequence[MemberNoise]], stream: str, device: torch.device) -> None:
        self.at_point = [_share(noises) for noises in at_point]
        self.stream = stream
        self.generator = torch.Generator(device)

    def at(self, step: StepIndex) -> InjectMembers:
        def inject(point: int, x: Tensor, first: int, audit: Audit | None) -> Tensor:
            if not self._chosen(point, range(first, first + len(x))):
                return x
            y: Tensor = _Inject.apply(x, self, point, step, first, audit)  # type: ignore[no-untyped-call]
            return y

        return inject

    def terms(self, point: int, step: StepIndex, shape: Sequence[int], members: range) -> Terms:
        """Draw the noise of some members at one noise point, for activations ``shape`` ``(B, …)`` of each."""
        index = step if isinstance(step, tuple) else tuple(step.tolist())
        for shared in self._chosen(point, members):
            self.generator.manual_seed(stream_key(shared.seed, self.stream, *index, point))
            factor_draws = self._draw(shared, shape) if shared.multiplies else None
            added_draws = self._draw(shared, shape) if shared.adds else None
            for noise in shared.members:
                if noise.member in members:
                    levels = noise.mul, noise.add
                    yield (
                        noise.member,
                        NoiseTerms(factor_draws, added_draws, *levels, noise.add_first, noise.exact_gradient),
                    )

    def _draw(self, shared: SharedDraws, shape: Sequence[int]) -> Tensor:
        draws = torch.empty(tuple(shape), device=self.generator.device)
        shared.draw(draws, self.generator)
        return draws

    def _chosen(self, point: int, members: range) -> list[SharedDraws]:
        """The draws at a noise point that some of these members use."""
        return [shared for shared in self.at_point[point] if any(noise.member in members for noise in shared.members)]


def _share(noises: Sequence[MemberNoise]) -> list[SharedDraws]:
    """The members at one noise point, by their draws."""
    groups: dict[Any, list[MemberNoise]] = {}
    for noise in noises:
        groups.setdefault((noise.seed, noise.draw, noise.mul > 0, noise.add > 0), []).append(noise)
    return [
        SharedDraws(seed, draw, multiplies, adds, tuple(members))
        for (seed, draw, multiplies, adds), members in groups.items()
    ]


class _Inject(torch.autograd.Function):
    """Injection with its gradient.

    The backward pass multiplies by the factor (exact gradient) or passes the gradient on unchanged (straight-through).
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, sampler: GeneratorNoise, point: int, step: StepIndex, first: int, audit: Audit | None
    ) -> Tensor:
        members = range(first, first + len(x))
        noisy = {noise.member for shared in sampler.at_point[point] for noise in shared.members}
        y = torch.empty_like(x) if noisy.issuperset(members) else x.clone()
        xs, ys = x.unbind(), y.unbind()
        ctx.factors = []
        for member, terms in sampler.terms(point, step, x.shape[1:], members):
            if audit is not None:
                audit.record_terms(point, member, terms.deviation, terms.added)
            terms.apply(xs[member - first], out=ys[member - first])
            if ctx.needs_input_grad[0] and terms.exact_gradient and terms.factor_draws is not None:
                ctx.factors.append((member - first, terms.for_gradient()))
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        if not ctx.factors:
            return gradient, *(None,) * 5
        result = torch.empty_like(gradient) if len(ctx.factors) == len(gradient) else gradient.clone()
        for row, terms in ctx.factors:
            terms.apply_to_gradient(gradient[row], out=result[row])
        return result, *(None,) * 5
