"""Linear layers of a pack."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from walking_noise.pack.stacking import expand_rows, stack_parameters, stacked_bias

ALIGNED = 4
"""float32 numbers in 16 bytes; the rounding of matrix products on a CPU depends on the alignment of their rows."""


class PackedLinear(nn.Module):
    """Linear layers with weights ``(K, out, in)`` as one batched matrix product."""

    def __init__(self, members: Sequence[nn.Linear]) -> None:
        super().__init__()
        self.weight = stack_parameters([member.weight for member in members])
        self.bias: Tensor | None = None
        if members[0].bias is not None:
            self.bias = stack_parameters([member.bias for member in members])

    def forward(self, x: Tensor) -> Tensor:
        members, outputs, inputs = self.weight.shape
        x = expand_rows(members, x)
        rows: Tensor = x.flatten(1, -2)
        weight: Tensor = self.weight
        bias: Tensor = stacked_bias(self.weight, self.bias)
        more, wider = -inputs % ALIGNED, max(0, 2 - outputs)  # a CPU rounds the sums of a single output differently
        if x.device.type == "cpu" and (more or wider):
            rows, weight, bias = F.pad(rows, (0, more)), F.pad(weight, (0, more, 0, wider)), F.pad(bias, (0, wider))
        y: Tensor = _Products.apply(rows, weight, bias)  # type: ignore[no-untyped-call]
        return y[..., :outputs].reshape(*x.shape[:-1], -1)


class _Products(torch.autograd.Function):
    """``rows · weightᵀ + bias`` for rows ``(K, n, in)``; each gradient has the memory layout of its parameter."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(rows, weight)
        return torch.baddbmm(bias.unsqueeze(1), rows, weight.transpose(1, 2))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
        gradient = gradients[0].contiguous()  # the rounding of sums depends on the memory layout
        rows, weight = ctx.saved_tensors
        rows_gradient = torch.bmm(gradient, weight) if ctx.needs_input_grad[0] else None
        return rows_gradient, torch.bmm(gradient.transpose(1, 2), rows), gradient.sum(1)
