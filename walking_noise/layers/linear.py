"""Linear layers of many runs."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from walking_noise.layers.stacking import for_each, stacked


class PackedLinear(nn.Module):
    """Linear layers with weights ``(K, out, in)`` as one batched matrix product."""

    def __init__(self, members: Sequence[nn.Linear]) -> None:
        super().__init__()
        self.weight = stacked([member.weight for member in members])
        self.bias = stacked([member.bias for member in members])

    def forward(self, x: Tensor) -> Tensor:
        x = for_each(len(self.weight), x)
        rows = x.flatten(1, -2)
        y = torch.baddbmm(self.bias.unsqueeze(1), rows, self.weight.transpose(1, 2))
        if y.requires_grad:  # the sum over B that is the bias's gradient rounds by the layout of what it sums
            y.register_hook(torch.Tensor.contiguous)
        return y.view(*x.shape[:-1], -1)
