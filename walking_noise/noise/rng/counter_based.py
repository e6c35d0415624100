"""Counter-based noise: drawn for all members of a pack at once, a function of run, step, noise point and element.

The generator has no state. Every draw is computed from a key, ``stream_key(seed, stream)`` of the member, and a counter
of four 32-bit words:

====  ================================================================================================
word  content
====  ================================================================================================
0     index of a group of four elements of the member's activations ``(B, …)``, in contiguous order
1     2 · noise point for the factor's deviation from 1; 2 · noise point + 1 for the added term
2, 3  step index: training step and 0, or epoch and block of samples
====  ================================================================================================

Philox4x32-10 maps key and counter to four random words. The Box-Muller transform maps the words to the four Gaussian
numbers of a group (:mod:`walking_noise.noise.rng.constants`). Draws and results are bitwise equal on every device and
in every pack.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from walking_noise.noise.audit import Audit
from walking_noise.noise.member_noise import InjectMembers, MemberNoise, StepIndex
from walking_noise.noise.rng.point_noise import PointNoise

InjectionKernel = Callable[[Tensor, PointNoise, Tensor, Tensor | None], Tensor]
""":func:`walking_noise.noise.rng.triton_kernels.inject_noise`, or a function with the same results."""


class CounterBasedNoise:
    """Sampler of Gaussian noise from a counter-based generator.

    ``kernel`` is the function that injects the noise; by default Triton kernels, which need a GPU.
    """

    capturable = True

    def __init__(
        self,
        at_point: Sequence[Sequence[MemberNoise]],
        stream: str,
        members: int,
        device: torch.device,
        kernel: InjectionKernel | None = None,
    ) -> None:
        self.at_point, self.device = at_point, device
        self.kernel = kernel or _triton_kernel()
        self.forward = [PointNoise.of(point, noises, stream, members, device) for point, noises in enumerate(at_point)]
        self.backward = [
            PointNoise.of_gradients(point, noises, stream, members, device) for point, noises in enumerate(at_point)
        ]

    def at(self, step: StepIndex) -> InjectMembers:
        index = self.on_device(step)

        def inject(point: int, x: Tensor, first: int, audit: Audit | None) -> Tensor:
            if not self.at_point[point]:
                return x
            noise, gradient = self.forward[point].rows(first, len(x)), self.backward[point]
            gradient = None if gradient is None else gradient.rows(first, len(x))
            sums = None if audit is None else torch.zeros(3, len(x), dtype=torch.float64, device=x.device)
            y: Tensor = _Inject.apply(x, noise, gradient, index, sums, self.kernel)  # type: ignore[no-untyped-call]
            if audit is not None and sums is not None:
                audit.record_sums(point, first, sums)
            return y

        return inject

    def drawn_at(self, point: int) -> tuple[PointNoise, PointNoise | None] | None:
        """The noise of all members at a noise point and the factors of its gradient; None without noise there."""
        return (self.forward[point], self.backward[point]) if self.at_point[point] else None

    def on_device(self, step: StepIndex) -> Tensor:
        """The step index as a tensor, filled by kernels, since a copy from the host would wait for the device."""
        if isinstance(step, Tensor):
            return step
        if len(step) not in (1, 2):
            raise ValueError(f"a step index has one number or two, not {step}")
        index = torch.empty(len(step), dtype=torch.int64, device=self.device)
        for slot, number in zip(index, step, strict=True):
            slot.fill_(number)
        return index


def _triton_kernel() -> InjectionKernel:
    from walking_noise.noise.rng import triton_kernels

    return triton_kernels.inject_noise


class _Inject(torch.autograd.Function):
    """Injection with its gradient.

    The backward pass draws the factor again and multiplies by it (exact gradient), or passes the gradient on unchanged
    (straight-through).
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        noise: PointNoise,
        gradient_noise: PointNoise | None,
        step: Tensor,
        sums: Tensor | None,
        kernel: InjectionKernel,
    ) -> Tensor:
        ctx.save_for_backward(step)
        ctx.noise, ctx.kernel = gradient_noise, kernel
        return kernel(x, noise, step, sums)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        if ctx.noise is not None:
            (step,) = ctx.saved_tensors
            gradient = ctx.kernel(gradient, ctx.noise, step, None)
        return gradient, *(None,) * 5
