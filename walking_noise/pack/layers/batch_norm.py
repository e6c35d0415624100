"""BatchNorm layers of a pack."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from walking_noise.pack.stacking import cache_sized_slices, expand_rows, merge_members, split_members, stack_parameters


class PackedBatchNorm(nn.Module):
    """BatchNorm over the concatenated channels of all members; statistics ``(K, channels)``.

    On a CPU, images are normalised by :class:`_Normalise`, since torch's kernel takes several times as long.
    """

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
        if x.dim() > 2 and x.device.type == "cpu":
            return split_members(self._on_images(x), members)
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

    def inference_scale(self) -> Tensor:
        """The factor ``weight / √(running_var + eps)`` of each channel at inference, ``(K, channels)``."""
        return self.weight * (self.running_var + self.eps).rsqrt()

    def update_statistics(self, mean: Tensor, var: Tensor, values: int) -> None:
        """Update the running statistics by a mini-batch: mean and variance of ``values`` numbers, ``(K, channels)``."""
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(var * (values / (values - 1)), self.momentum)

    def _on_images(self, x: Tensor) -> Tensor:
        normalised: Tensor
        if self.training:
            normalised, mean, var = _Normalise.apply(x, self.weight.flatten(), self.bias.flatten(), self.eps)  # type: ignore[no-untyped-call]
            shape = self.running_mean.shape
            self.update_statistics(mean.view(shape), var.view(shape), x.numel() // x.shape[1])
            return normalised
        mean, scale, bias = (tensor.reshape(-1, 1) for tensor in (self.running_mean, self.inference_scale(), self.bias))
        return x.flatten(2).sub(mean).mul_(scale).add_(bias).view_as(x)


class _Normalise(torch.autograd.Function):
    """``y = weight·(x - mean) / √(var + eps) + bias`` for x ``(B, channels, …)`` (Ioffe and Szegedy 2015, algorithm 1).

    Sums are computed over the samples first, in their order and separately for every pixel, then over the pixels.
    Therefore the sum of a channel does not depend on the other channels, and
    :mod:`walking_noise.pack.layers.fused_layers` can compute the same numbers in fewer passes.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
        rows = x.flatten(2)
        sums, squares = torch.zeros(2, *rows.shape[1:], dtype=x.dtype)
        for row in rows[1:]:
            deviation = row - rows[0]
            sums += deviation
            squares += deviation.square_()
        mean, var = batch_statistics(rows[0], sums, squares, len(rows))
        inverse = (var + eps).rsqrt()
        y, scale = torch.empty_like(rows), (weight * inverse).unsqueeze(1)
        for images in cache_sized_slices(rows):
            torch.sub(rows[images], mean.unsqueeze(1), out=y[images]).mul_(scale).add_(bias.unsqueeze(1))
        ctx.save_for_backward(rows, mean, weight, inverse)
        ctx.mark_non_differentiable(mean, var)
        return y.view_as(x), mean, var

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        """The chain rule of algorithm 1, with ``x̂ = (x - mean)·inverse``; x̂ enters only by the sum over g·x̂."""
        rows, mean, weight, inverse = ctx.saved_tensors
        gradient = gradients[0].contiguous().view_as(rows)
        sums, products = torch.zeros(2, *rows.shape[1:], dtype=rows.dtype)
        for row, upstream in zip(rows, gradient, strict=True):
            sums += upstream
            products += (row - mean.unsqueeze(1)).mul_(upstream)
        weight_gradient, bias_gradient, slope, shift = normalisation_gradients(sums, products, inverse, len(rows))
        result, scale = torch.empty_like(rows), (weight * inverse).unsqueeze(1)
        for images in cache_sized_slices(rows):
            part = torch.sub(rows[images], mean.unsqueeze(1), out=result[images]).mul_(slope.unsqueeze(1))
            part.add_(gradient[images]).sub_(shift.unsqueeze(1)).mul_(scale)
        return result.view_as(gradients[0]), weight_gradient, bias_gradient, None


def batch_statistics(first: Tensor, sums: Tensor, squares: Tensor, samples: int) -> tuple[Tensor, Tensor]:
    """Mean and biased variance of each channel, ``(channels,)``, from sums over the samples, ``(channels, pixels)``.

    ``sums`` and ``squares`` are those of the deviations from the ``first`` sample. With all of them in float64, the
    subtraction of the squared mean loses no digits that float32 has, unless the first sample is far off the others.
    """
    dtype = first.dtype
    first, sums, squares = (one.double() for one in (first, sums, squares))
    mean_deviation = sums / samples
    pixel_means = first + mean_deviation
    mean = pixel_means.mean(1)
    within = (squares - sums * mean_deviation).clamp_min_(0).sum(1)
    between = (pixel_means - mean.unsqueeze(1)).square_().sum(1)
    var = within / (samples * first.shape[1]) + between / first.shape[1]
    return mean.to(dtype), var.to(dtype)


def normalisation_gradients(
    sums: Tensor, products: Tensor, inverse: Tensor, samples: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients of weight and bias, and slope and shift of the gradient of x, each ``(channels,)``.

    The gradient of x is ``((x - mean)·slope + g - shift)·scale``. ``sums`` and ``products`` ``(channels, pixels)`` are
    the sums over the samples of the gradient g and of ``g·(x - mean)``.
    """
    values = samples * sums.shape[1]
    bias_gradient, along_centred = (one.double().sum(1).to(inverse.dtype) for one in (sums, products))
    return along_centred * inverse, bias_gradient, -along_centred * inverse.square() / values, bias_gradient / values
