"""Noise terms of one member, drawn as the sampler of a CPU draws them."""

from __future__ import annotations

from torch import Tensor

from walking_noise.noise.injection import Injection
from walking_noise.noise.member_noise import MemberNoise
from walking_noise.noise.rng.cpu_generators import GeneratorNoise


def drawn_terms(
    injection: Injection, noise: MemberNoise, point: int, step: tuple[int, ...], shape: tuple[int, ...]
) -> tuple[Tensor | None, Tensor | None]:
    """``s_mul·e1`` and ``s_add·e2`` for activations ``(B, …)``; None for a term at level 0."""
    (sampler,) = injection.samplers
    assert isinstance(sampler, GeneratorNoise)
    ((shared, *draws),) = sampler.draws(point, step, shape, range(noise.member, noise.member + 1))
    terms = shared.terms(noise, *draws)
    return terms.deviation, terms.added
