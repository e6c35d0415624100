"""Adam on a GPU by a Triton kernel, one launch per parameter for all members of a pack; imported on a GPU only."""
# mypy: disable-error-code="import-untyped, untyped-decorator, no-untyped-def"

from __future__ import annotations

from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

from walking_noise.training.adam.stacked_parameter import BETAS, EPS, StackedParameter

ELEMENTS = 1024
"""Elements of a member that one program updates."""


class TritonUpdate:
    """Update of all parameters of a pack on a GPU, which reads and writes every number once.

    Every step first multiplies each member's parameters by ``decay_factor`` ``(K,)``; None if no weights decay. It sets
    ``finite``, int32 ``(K,)``, to 0 for a member with an updated parameter that is not finite, else it is unchanged.
    """

    def __init__(self, stacked: Sequence[StackedParameter], decay_factor: Tensor | None = None) -> None:
        self._stacked, self._decay_factor = stacked, decay_factor
        first = stacked[0].parameter
        self.finite = torch.ones(len(first), dtype=torch.int32, device=first.device)

    def __call__(self, gradients: Sequence[Tensor | None], rate: Tensor, step: Tensor) -> None:
        """Update every member in place by contiguous gradients ``(K, …)``; decay its weights before, clamp them after.

        A parameter without a gradient is not changed. ``rate`` is in float64, ``step`` ``(1,)`` is counted from 1.
        """
        dtype = self._stacked[0].parameter.dtype
        step_size = (rate / (1 - BETAS[0] ** step.double())).to(dtype)
        bias_correction2_sqrt = (1 - BETAS[1] ** step.double()).sqrt().to(dtype)
        for stacked, gradient in zip(self._stacked, gradients, strict=True):
            if gradient is not None:
                self._launch(stacked, gradient, step_size, bias_correction2_sqrt)

    def _launch(
        self, stacked: StackedParameter, gradient: Tensor, step_size: Tensor, bias_correction2_sqrt: Tensor
    ) -> None:
        members, elements = len(stacked.parameter), stacked.parameter[0].numel()
        with torch.cuda.device_of(stacked.parameter):
            _update_kernel[members, triton.cdiv(elements, ELEMENTS)](
                stacked.parameter,
                gradient,
                stacked.first_moment,
                stacked.second_moment,
                step_size,
                bias_correction2_sqrt,
                step_size if stacked.bound is None else stacked.bound,
                step_size if self._decay_factor is None else self._decay_factor,
                self.finite,
                elements,
                BETA1=BETAS[0],
                BETA2=BETAS[1],
                EPSILON=EPS,
                BOUNDED=stacked.bound is not None,
                DECAYED=self._decay_factor is not None,
                ELEMENTS=ELEMENTS,
            )


@triton.jit
def _update_kernel(
    parameters,
    gradients,
    first_moments,
    second_moments,
    step_size,
    bias_correction2_sqrt,
    bounds,
    decay_factors,
    finite,
    elements,
    BETA1: tl.constexpr,
    BETA2: tl.constexpr,
    EPSILON: tl.constexpr,
    BOUNDED: tl.constexpr,
    DECAYED: tl.constexpr,
    ELEMENTS: tl.constexpr,
):
    """Program (member, block). The clamp compares with > and <, which are false for NaN, so NaN is preserved."""
    member = tl.program_id(0)
    element = tl.program_id(1) * ELEMENTS + tl.arange(0, ELEMENTS)
    inside = element < elements
    offset = member.to(tl.int64) * elements + element
    gradient = tl.load(gradients + offset, mask=inside, other=0.0)
    first_moment = tl.load(first_moments + offset, mask=inside, other=0.0)
    second_moment = tl.load(second_moments + offset, mask=inside, other=0.0)
    parameter = tl.load(parameters + offset, mask=inside, other=0.0)
    first_moment += (1 - BETA1) * (gradient - first_moment)
    second_moment = BETA2 * second_moment + (1 - BETA2) * gradient * gradient
    denominator = tl.sqrt(second_moment) / tl.load(bias_correction2_sqrt) + EPSILON
    if DECAYED:
        parameter *= tl.load(decay_factors + member)
    parameter -= tl.load(step_size) * first_moment / denominator
    if BOUNDED:
        bound = tl.load(bounds + member)
        parameter = tl.where(parameter > bound, bound, tl.where(parameter < -bound, -bound, parameter))
    tl.store(first_moments + offset, first_moment, mask=inside)
    tl.store(second_moments + offset, second_moment, mask=inside)
    tl.store(parameters + offset, parameter, mask=inside)
    nonfinite = tl.sum((tl.abs(parameter) < float("inf")).to(tl.int32)) < ELEMENTS
    tl.store(finite + member, 0, mask=nonfinite)
