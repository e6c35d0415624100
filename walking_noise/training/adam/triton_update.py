"""Triton update rule: one step of Adam for all members of a pack, one launch per parameter; imported on a GPU only."""
# mypy: disable-error-code="import-untyped, untyped-decorator, no-untyped-def"

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from walking_noise.training.adam.reference_update import BETAS, EPS, StackedParameter

ELEMENTS = 1024
"""Elements of a member that one program updates."""


def triton_update(
    stacked: StackedParameter, gradient: Tensor, step_size: Tensor, bias_correction2_sqrt: Tensor, finite: Tensor
) -> None:
    """A :class:`walking_noise.training.adam.reference_update.UpdateRule` that reads and writes every number once."""
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
            finite,
            elements,
            BETA1=BETAS[0],
            BETA2=BETAS[1],
            EPSILON=EPS,
            BOUNDED=stacked.bound is not None,
            ELEMENTS=ELEMENTS,
        )


@triton.jit
def _update_kernel(
    parameters,
    gradients,
    first_moments,
    second_moments,
    step_sizes,
    bias_corrections2_sqrt,
    bounds,
    finite,
    elements,
    BETA1: tl.constexpr,
    BETA2: tl.constexpr,
    EPSILON: tl.constexpr,
    BOUNDED: tl.constexpr,
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
    denominator = tl.sqrt(second_moment) / tl.load(bias_corrections2_sqrt + member) + EPSILON
    parameter -= tl.load(step_sizes + member) * first_moment / denominator
    if BOUNDED:
        bound = tl.load(bounds + member)
        parameter = tl.where(parameter > bound, bound, tl.where(parameter < -bound, -bound, parameter))
    tl.store(first_moments + offset, first_moment, mask=inside)
    tl.store(second_moments + offset, second_moment, mask=inside)
    tl.store(parameters + offset, parameter, mask=inside)
    nonfinite = tl.sum((tl.abs(parameter) < float("inf")).to(tl.int32)) < ELEMENTS
    tl.store(finite + member, 0, mask=nonfinite)
