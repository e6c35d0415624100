"""The injection: each run's own noise, at its own points and levels, into the activations of a pack."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from walking_noise.layers.stacking import for_each
from walking_noise.points import Inject
from walking_noise.seeds import key

if TYPE_CHECKING:
    from walking_noise.config import RunConfig
    from walking_noise.noise.audit import Audit


@dataclass(frozen=True)
class MemberNoise:
    """The noise of one member of a pack at one noise point: ``y = x·(1 + s_mul·e1) + s_add·e2``, or added first."""

    member: int
    seed: int
    mul: float
    add: float
    add_first: bool
    exact_gradient: bool
    draw: Callable[[Tensor, float, torch.Generator], None]


class Injection:
    """The noise of the members of a pack, in training or at inference.

    Draws are functions of the run's seed, the stream, the place in the run (step, or epoch and block of samples) and
    the noise point. A draw is an independent number for each element of each sample.

    Parameters
    ----------
    configs
        The runs, in the order of the pack.
    stream
        ``"training"`` (keyed by ``seed``; only runs trained with noise are noisy) or ``"inference"`` (keyed by
        ``noise.seed``).
    """

    def __init__(self, configs: Sequence[RunConfig], stream: str, device: torch.device) -> None:
        self.stream = f"{stream} noise"
        self.generator = torch.Generator(device)
        self.members = len(configs)
        self.at_point: list[list[MemberNoise]] = [[] for _ in configs[0].points]
        for member, config in enumerate(configs):
            if stream == "training" and not config.noisy_training:
                continue
            seed = config.seed if stream == "training" else config.noise_seed
            for point, level in enumerate(config.levels):
                if max(level) > 0:
                    self.at_point[point].append(
                        MemberNoise(
                            member,
                            seed,
                            level.mul,
                            level.add,
                            config.noise.order == "add_first",
                            config.noise.gradient == "exact",
                            config.noise_kind.draw,
                        )
                    )

    def at(self, *place: int, audit: Audit | None = None) -> Inject:
        """The injection at one place of the runs."""

        def inject(point: int, x: Tensor, member: int | None = None) -> Tensor:
            assert member is None
            if audit is not None:
                audit.signal(point, for_each(self.members, x))
            if not self.at_point[point]:
                return x
            x = for_each(self.members, x)
            y: Tensor = _Inject.apply(x, self, point, place, audit)  # type: ignore[no-untyped-call]
            return y

        return inject

    def terms(
        self, noise: MemberNoise, point: int, place: tuple[int, ...], shape: torch.Size
    ) -> tuple[Tensor | None, Tensor | None]:
        """Draw ``s_mul·e1`` and ``s_add·e2`` for one member; None for a term at level 0."""
        self.generator.manual_seed(key(noise.seed, self.stream, *place, point))

        def drawn(level: float) -> Tensor | None:
            if level == 0:
                return None
            term = torch.empty(shape, device=self.generator.device)
            noise.draw(term, level, self.generator)
            return term

        return drawn(noise.mul), drawn(noise.add)


class _Inject(torch.autograd.Function):
    """Injects forward; backward multiplies by the factor (exact gradient) or passes on (straight-through)."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, injection: Injection, point: int, place: tuple[int, ...], audit: Audit | None
    ) -> Tensor:
        noises = injection.at_point[point]
        y = torch.empty_like(x)
        quiet = set(range(len(x))) - {noise.member for noise in noises}
        for member in quiet:
            y[member].copy_(x[member])
        ctx.factors = {}
        for noise in noises:
            deviation, added = injection.terms(noise, point, place, x.shape[1:])
            if audit is not None:
                audit.noise(point, noise.member, deviation, added)
            factor = None if deviation is None else deviation.add_(1.0)
            _apply(x[noise.member], factor, added, noise.add_first, out=y[noise.member])
            if factor is not None and noise.exact_gradient and ctx.needs_input_grad[0]:
                ctx.factors[noise.member] = factor
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        if ctx.factors:
            gradient = gradient.clone(memory_format=torch.contiguous_format)
            for member, factor in ctx.factors.items():
                gradient[member].mul_(factor)
        return gradient, None, None, None, None


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
