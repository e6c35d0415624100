"""BatchNorm of many runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from walking_noise.layers.stacking import for_each, merged, split, stacked


class PackedBatchNorm(nn.Module):
    """BatchNorm over the channels of all runs side by side; statistics ``(K, channels)``."""

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, members: Sequence[nn.BatchNorm1d | nn.BatchNorm2d]) -> None:
        super().__init__()
        self.eps, self.momentum = members[0].eps, cast(float, members[0].momentum)
        self.weight = stacked([member.weight for member in members])
        self.bias = stacked([member.bias for member in members])
        self.register_buffer("running_mean", torch.stack([m.get_buffer("running_mean") for m in members]))
        self.register_buffer("running_var", torch.stack([m.get_buffer("running_var") for m in members]))

    def forward(self, x: Tensor) -> Tensor:
        members = len(self.weight)
        y = F.batch_norm(
            merged(for_each(members, x)),
            self.running_mean.view(-1),
            self.running_var.view(-1),
            self.weight.flatten(),
            self.bias.flatten(),
            training=self.training,
            momentum=self.momentum,
            eps=self.eps,
        )
        return split(y, members)
