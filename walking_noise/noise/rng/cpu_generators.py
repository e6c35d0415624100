"""Noise from torch's generators, seeded anew for each seed, step and noise point; the default sampler on a CPU.

It draws every kind of noise on every device, at the cost of several operations per member. Draws do not depend on the
level, so members with the same seed share them, each scaled by its own level.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from walking_noise.cpu_kernels.noise_terms import MemberNoises, NoiseTerms
from walking_noise.noise.audit import Audit
from walking_noise.noise.member_noise import InjectMembers, MemberNoise, StepIndex
from walking_noise.reproducibility import stream_key

KEPT_BYTES = 2**26
"""Most memory of kept draws: those of 250 samples at all noise points of LeNet-5 take a third of it."""

Draws = tuple["SharedDraws", Tensor | None, Tensor | None]
"""Draws of the factor and of the added term; None without the term."""


@dataclass(frozen=True)
class SharedDraws:
    """Members of a pack that share their draws at one noise point: they have the same seed, distribution and terms."""

    seed: int
    draw: Callable[[Tensor, torch.Generator], None]
    multiplies: bool
    adds: bool
    for_batch: bool
    members: tuple[MemberNoise, ...]

    @cached_property
    def noises(self) -> MemberNoises:
        """The noise of all members, without draws."""
        terms = [self.terms(noise, None, None) for noise in self.members]
        return MemberNoises([noise.member for noise in self.members], terms)

    @staticmethod
    def terms(noise: MemberNoise, factor_draws: Tensor | None, added_draws: Tensor | None) -> NoiseTerms:
        """The noise of a member with these draws."""
        return NoiseTerms(factor_draws, added_draws, noise.mul, noise.add, noise.add_first, noise.exact_gradient)

    def among(self, members: range) -> list[MemberNoise]:
        """The noise of those members that are in ``members``."""
        return [noise for noise in self.members if noise.member in members]


class KeptDraws:
    """Draws of one step, for samplers that draw the same numbers one after the other; at most ``KEPT_BYTES``."""

    def __init__(self) -> None:
        self._step: Any = None
        self._draws: dict[Any, tuple[Tensor | None, Tensor | None]] = {}
        self._bytes = 0

    def get(self, key: Any, step: Any, draw: Callable[[], tuple[Tensor | None, Tensor | None]]) -> Any:
        """The draws with this key at this step; ``draw`` is called if they are not kept."""
        if step != self._step:
            self._step, self._draws, self._bytes = step, {}, 0
        found = self._draws.get(key)
        if found is None:
            found = draw()
            size = sum(one.nbytes for one in found if one is not None)
            if self._bytes + size <= KEPT_BYTES:
                self._draws[key] = found
                self._bytes += size
        return found


class GeneratorNoise:
    """Sampler with one generator, seeded with ``stream_key(seed, stream, *step, point)`` before each draw.

    With ``kept``, draws are kept until the next step.
    """

    capturable = False

    def __init__(
        self,
        at_point: Sequence[Sequence[MemberNoise]],
        stream: str,
        device: torch.device,
        kept: KeptDraws | None = None,
    ) -> None:
        self.kept = kept
        self.at_point = [_share(noises) for noises in at_point]
        self._of_member = [
            {noise.member: (shared, noise) for shared in at_one for noise in shared.members} for at_one in self.at_point
        ]
        self.stream = stream
        self.generator = torch.Generator(device)

    def at(self, step: StepIndex) -> InjectMembers:
        def inject(point: int, x: Tensor, first: int, audit: Audit | None) -> Tensor:
            if not self._chosen(point, range(first, first + len(x))):
                return x
            y: Tensor = _Inject.apply(x, self, point, step, first, audit)  # type: ignore[no-untyped-call]
            return y

        return inject

    def draws(self, point: int, step: StepIndex, shape: Sequence[int], members: range) -> Iterator[Draws]:
        """Draw what some members need at one noise point, once for members that share it.

        ``shape`` ``(B, …)`` is that of the activations of a member. The draws of the added term are valid until the
        next ones are drawn, into the same memory.
        """
        scratch = self._empty(shape)
        for shared in self._chosen(point, members):
            yield shared, *self.draw(shared, point, step, shape, scratch)

    def draw(
        self,
        shared: SharedDraws,
        point: int,
        step: StepIndex,
        shape: Sequence[int],
        scratch: Tensor | None = None,
    ) -> tuple[Tensor | None, Tensor | None]:
        """The draws of the factor and of the added term, the latter in ``scratch`` if given; None without the term."""
        if shared.for_batch:  # one sample's draws, repeated for all samples
            of_one = replace(shared, for_batch=False)
            terms = self.draw(of_one, point, step, (1, *shape[1:]))
            repeated = [None if term is None else term.expand(*shape).contiguous() for term in terms]
            return repeated[0], repeated[1]
        index = step if isinstance(step, tuple) else tuple(step.tolist())

        def drawn(scratch: Tensor | None = None) -> tuple[Tensor | None, Tensor | None]:
            self.generator.manual_seed(stream_key(shared.seed, self.stream, *index, point))
            factor_draws = self._draw(shared, self._empty(shape)) if shared.multiplies else None
            if not shared.adds:
                return factor_draws, None
            return factor_draws, self._draw(shared, self._empty(shape) if scratch is None else scratch)

        if self.kept is None:
            return drawn(scratch)
        key = (point, shared.seed, shared.draw, shared.multiplies, shared.adds, tuple(shape))
        found: tuple[Tensor | None, Tensor | None] = self.kept.get(key, (self.stream, index), drawn)
        return found

    def _empty(self, shape: Sequence[int]) -> Tensor:
        return torch.empty(tuple(shape), dtype=torch.float32, device=self.generator.device)

    def shared_by(self, point: int, member: int) -> tuple[SharedDraws, MemberNoise] | None:
        """The draws that a member uses at a noise point, and its noise; None without noise."""
        return self._of_member[point].get(member)

    def _draw(self, shared: SharedDraws, out: Tensor) -> Tensor:
        shared.draw(out, self.generator)
        return out

    def _chosen(self, point: int, members: range) -> list[SharedDraws]:
        """The draws at a noise point that some of these members use."""
        return [shared for shared in self.at_point[point] if shared.among(members)]


def _share(noises: Sequence[MemberNoise]) -> list[SharedDraws]:
    """The members at one noise point, by their draws."""
    groups: dict[SharedDraws, list[MemberNoise]] = {}
    for noise in noises:
        draws = SharedDraws(noise.seed, noise.draw, noise.mul > 0, noise.add > 0, noise.for_batch, ())
        groups.setdefault(draws, []).append(noise)
    return [replace(draws, members=tuple(members)) for draws, members in groups.items()]


class _Inject(torch.autograd.Function):
    """Injection with its gradient.

    The backward pass multiplies by the factor (exact gradient) or passes the gradient on unchanged (straight-through).
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, sampler: GeneratorNoise, point: int, step: StepIndex, first: int, audit: Audit | None
    ) -> Tensor:
        members = range(first, first + len(x))
        everywhere = all(sampler.shared_by(point, member) for member in members)
        y = torch.empty_like(x) if everywhere else x.clone()
        ctx.factors, ctx.members = [], members
        for shared, factor_draws, added_draws in sampler.draws(point, step, x.shape[1:], members):
            chosen = shared.among(members)
            complete = first == 0 and len(chosen) == len(shared.members)
            if audit is not None or not (complete and shared.noises.apply(x, y, factor_draws, added_draws)):
                for noise in chosen:
                    terms = shared.terms(noise, factor_draws, added_draws)
                    if audit is not None:
                        independent = slice(0, 1) if shared.for_batch else slice(None)
                        deviation, added = (
                            None if term is None else term[independent] for term in (terms.deviation, terms.added)
                        )
                        audit.record_terms(point, noise.member, deviation, added)
                    terms.apply(x[noise.member - first], out=y[noise.member - first])
            if ctx.needs_input_grad[0] and factor_draws is not None and any(noise.exact_gradient for noise in chosen):
                ctx.factors.append((shared, factor_draws))
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        if not ctx.factors:
            return gradient, *(None,) * 5
        first, result = ctx.members[0], gradient.clone()
        for shared, factor_draws in ctx.factors:
            chosen = shared.among(ctx.members)
            complete = first == 0 and len(chosen) == len(shared.members)
            if not (complete and shared.noises.apply(gradient, result, factor_draws, None, gradient=True)):
                for noise in chosen:
                    terms = shared.terms(noise, factor_draws, None)
                    terms.apply_to_gradient(gradient[noise.member - first], out=result[noise.member - first])
        return result, *(None,) * 5
