"""BatchNorm layers of a pack."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from walking_noise.pack.stacking import cache_sized_slices, expand_rows, merge_members, split_members, stack_parameters


class PackedBatchNorm(nn.Module):
    """BatchNorm over the concatenated channels of all members; statistics ``(K, channels)``."""

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, members: Sequence[nn.BatchNorm1d | nn.BatchNorm2d]) -> None:
        super().__init__()
        self.eps, self.momentum = members[0].eps, cast(float, members[0].momentum)
        self.weight = stack_parameters([member.weight for member in members])
        self.bias = stack_parameters([member.bias for member in members])
        self.register_buffer("running_mean", torch.stack([m.get_buffer("running_mean") for m in members]))
        self.register_buffer("running_var", torch.stack([m.get_buffer("running_var") for m in members]))

    def forward(self, x: Tensor) -> Tensor:
        members = len(self.weight)
        x = merge_members(expand_rows(members, x))
        if self.training and x.dim() > 2 and x.device.type == "cpu":
            return split_members(self._train_on_images(x), members)
        y = F.batch_norm(
            x,
            self.running_mean.view(-1),
            self.running_var.view(-1),
            self.weight.flatten(),
            self.bias.flatten(),
            training=self.training,
            momentum=self.momentum,
            eps=self.eps,
        )
        return split_members(y, members)

    def _train_on_images(self, x: Tensor) -> Tensor:
        """As torch's ``batch_norm`` in training; torch's CPU kernel takes several times as long for the sums."""
        y, mean, var = _Normalise.apply(x, self.weight.flatten(), self.bias.flatten(), self.eps)  # type: ignore[no-untyped-call]
        values = x.numel() // x.shape[1]
        self.running_mean.view(-1).lerp_(mean, self.momentum)
        self.running_var.view(-1).lerp_(var * (values / (values - 1)), self.momentum)
        normalised: Tensor = y
        return normalised


class _Normalise(torch.autograd.Function):
    """``y = weight·(x - mean) / √(var + eps) + bias`` for x ``(B, channels, …)`` (Ioffe and Szegedy 2015, algorithm 1).

    Sums are computed over the pixels of each image first, then over the images. Therefore the sum of a channel does not
    depend on the other channels.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
        rows = x.flatten(2)
        values = len(rows) * rows.shape[2]
        mean = _over_images(rows.sum(-1)) / values
        centred, y, norms = torch.empty_like(rows), torch.empty_like(rows), rows.new_empty(rows.shape[:2])
        for images in cache_sized_slices(rows):
            torch.sub(rows[images], mean.unsqueeze(1), out=centred[images])
            torch.linalg.vector_norm(centred[images], dim=-1, out=norms[images])
        var = _over_images((norms / math.sqrt(values)).square())
        inverse = (var + eps).rsqrt()
        scale = (weight * inverse).unsqueeze(1)
        for images in cache_sized_slices(rows):
            torch.mul(centred[images], scale, out=y[images]).add_(bias.unsqueeze(1))
        ctx.save_for_backward(centred, weight, inverse)
        ctx.mark_non_differentiable(mean, var)
        return y.view_as(x), mean, var

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        """The chain rule of algorithm 1, with ``x̂ = (x - mean)·inverse``; x̂ enters only by the sum over g·x̂."""
        gradient = gradients[0].contiguous()
        centred, weight, inverse = ctx.saved_tensors
        rows = gradient.flatten(2)
        values = len(rows) * rows.shape[2]
        sums, products = torch.empty(2, *rows.shape[:2], dtype=rows.dtype).unbind(0)
        for images in cache_sized_slices(rows):
            torch.sum(rows[images], -1, out=sums[images])
            torch.sum(rows[images] * centred[images], -1, out=products[images])
        bias_gradient, along_centred = _over_images(sums), _over_images(products)
        slope, shift = -along_centred * inverse.square() / values, bias_gradient / values
        result = torch.empty_like(rows)
        for images in cache_sized_slices(rows):
            part = torch.addcmul(rows[images], centred[images], slope.unsqueeze(1), out=result[images])
            part.sub_(shift.unsqueeze(1)).mul_((weight * inverse).unsqueeze(1))
        return result.view_as(gradient), along_centred * inverse, bias_gradient, None


def _over_images(sums: Tensor) -> Tensor:
    """Sums ``(channels,)`` over the images of ``(B, channels)``, each over contiguous memory."""
    return sums.t().contiguous().sum(-1)
