"""One step of Adam for all members of a pack, in Triton, in one launch per parameter; imported on a GPU only."""
# mypy: disable-error-code="import-untyped, untyped-decorator, no-untyped-def"

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from walking_noise.training.adam.reference_update import BETAS, EPS, Stack

ELEMENTS = 1024
"""Elements of a member that one program updates."""


def move(stack: Stack, gradient: Tensor, size: Tensor, root: Tensor, finite: Tensor) -> None:
    """A :class:`walking_noise.training.adam.reference_update.Move`: everything is read and written once."""
    members, elements = len(stack.parameter), stack.parameter[0].numel()
    with torch.cuda.device_of(stack.parameter):
        _move[members, triton.cdiv(elements, ELEMENTS)](
            stack.parameter,
            gradient,
            stack.mean,
            stack.square,
            size,
            root,
            size if stack.bound is None else stack.bound,
            finite,
            elements,
            BETA1=BETAS[0],
            BETA2=BETAS[1],
            EPSILON=EPS,
            BOUNDED=stack.bound is not None,
            ELEMENTS=ELEMENTS,
        )


@triton.jit
def _move(
    parameters,
    gradients,
    means,
    squares,
    sizes,
    roots,
    bounds,
    finite,
    elements,
    BETA1: tl.constexpr,
    BETA2: tl.constexpr,
    EPSILON: tl.constexpr,
    BOUNDED: tl.constexpr,
    ELEMENTS: tl.constexpr,
):
    """Program (member, block): NaN passes through every comparison, so that it stays what it is."""
    member = tl.program_id(0)
    own = tl.program_id(1) * ELEMENTS + tl.arange(0, ELEMENTS)
    inside = own < elements
    at = member.to(tl.int64) * elements + own
    gradient = tl.load(gradients + at, mask=inside, other=0.0)
    mean = tl.load(means + at, mask=inside, other=0.0)
    square = tl.load(squares + at, mask=inside, other=0.0)
    parameter = tl.load(parameters + at, mask=inside, other=0.0)
    mean += (1 - BETA1) * (gradient - mean)
    square = BETA2 * square + (1 - BETA2) * gradient * gradient
    spread = tl.sqrt(square) / tl.load(roots + member) + EPSILON
    parameter -= tl.load(sizes + member) * mean / spread
    if BOUNDED:
        bound = tl.load(bounds + member)
        parameter = tl.where(parameter > bound, bound, tl.where(parameter < -bound, -bound, parameter))
    tl.store(means + at, mean, mask=inside)
    tl.store(squares + at, square, mask=inside)
    tl.store(parameters + at, parameter, mask=inside)
    lost = tl.sum((tl.abs(parameter) < float("inf")).to(tl.int32)) < ELEMENTS
    tl.store(finite + member, 0, mask=lost)
