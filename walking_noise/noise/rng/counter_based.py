"""Noise as a function of run, place, noise point and element alone: all members of a pack at once, nothing stored.

Every draw is computed from a key, ``key(seed, stream)`` of the member, and a counter of four 32-bit words:

====  ================================================================================================
word  what it counts
====  ================================================================================================
0     the groups of four elements of the member's activations ``(B, …)``, in logical contiguous order
1     2 · noise point for the factor's deviation, plus 1 for the added term
2, 3  the place: training step and 0, or epoch and block of samples
====  ================================================================================================

Philox4x32-10 (:mod:`walking_noise.noise.rng.philox`) makes four words of these, Box and Muller
(:mod:`walking_noise.noise.rng.box_muller`) the four Gaussian numbers of a group. Draws and results are the same to the
last bit on every device, alone and in any pack.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from walking_noise.noise.audit import Audit
from walking_noise.noise.member_noise import MemberNoise
from walking_noise.noise.rng import philox_reference
from walking_noise.noise.rng.point_noise import PointNoise
from walking_noise.noise.sampler import InjectInto, StepIndex, Terms

Arithmetic = Callable[[Tensor, PointNoise, Tensor, Tensor | None], Tensor]
"""What :func:`walking_noise.noise.rng.philox_reference.injected` is, or does the same faster."""


class CounterBasedNoise:
    """Gaussian noise of a counter-based generator.

    Parameters
    ----------
    arithmetic
        Triton kernels on a GPU, else the reference, unless it is given.
    """

    capturable = True

    def __init__(
        self,
        at_point: Sequence[Sequence[MemberNoise]],
        stream: str,
        members: int,
        device: torch.device,
        arithmetic: Arithmetic | None = None,
    ) -> None:
        self.at_point, self.stream, self.device = at_point, stream, device
        self.arithmetic = arithmetic or _arithmetic(device)
        self.forward = [PointNoise.of(point, noises, stream, members, device) for point, noises in enumerate(at_point)]
        self.backward = [
            PointNoise.of_gradients(point, noises, stream, members, device) for point, noises in enumerate(at_point)
        ]

    def at(self, step: StepIndex) -> InjectInto:
        where = self._on_device(step)

        def inject(point: int, x: Tensor, first: int, audit: Audit | None) -> Tensor:
            if not self.at_point[point]:
                return x
            noise, gradient = self.forward[point].rows(first, len(x)), self.backward[point]
            gradient = None if gradient is None else gradient.rows(first, len(x))
            sums = None if audit is None else torch.zeros(3, len(x), dtype=torch.float64, device=x.device)
            y: Tensor = _Inject.apply(x, noise, gradient, where, sums, self.arithmetic)  # type: ignore[no-untyped-call]
            if audit is not None and sums is not None:
                audit.draws(point, first, sums)
            return y

        return inject

    def terms(self, noise: MemberNoise, point: int, step: tuple[int, ...], shape: torch.Size) -> Terms:
        alone = PointNoise.of(point, [noise], self.stream, noise.member + 1, self.device).rows(noise.member, 1)
        deviation, added = philox_reference.terms(alone, torch.Size([1, *shape]), self._on_device(step))
        return deviation[0] if noise.mul > 0 else None, added[0] if noise.add > 0 else None

    def _on_device(self, step: StepIndex) -> Tensor:
        """The place as a tensor, filled by kernels: a copy from the host would wait for the device."""
        if isinstance(step, Tensor):
            return step
        if len(step) not in (1, 2):
            raise ValueError(f"a step index is one number or two, not {step}")
        where = torch.empty(len(step), dtype=torch.int64, device=self.device)
        for slot, number in zip(where, step, strict=True):
            slot.fill_(number)
        return where


def _arithmetic(device: torch.device) -> Arithmetic:
    if device.type != "cuda":
        return philox_reference.injected
    from walking_noise.noise.rng import triton_kernels

    return triton_kernels.injected


class _Inject(torch.autograd.Function):
    """Injects forward; backward draws the factor again (exact gradient) or passes on (straight-through)."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        noise: PointNoise,
        gradient_noise: PointNoise | None,
        step: Tensor,
        sums: Tensor | None,
        arithmetic: Arithmetic,
    ) -> Tensor:
        ctx.save_for_backward(step)
        ctx.noise, ctx.arithmetic = gradient_noise, arithmetic
        return arithmetic(x, noise, step, sums)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        if ctx.noise is not None:
            (step,) = ctx.saved_tensors
            gradient = ctx.arithmetic(gradient, ctx.noise, step, None)
        return gradient, *(None,) * 5
