"""Fused layers on images on a CPU: [convolution] [BatchNorm] ReLU [2×2 max-pooling], with the noise between them.

Everything behind the convolution is computed in one pass.

The numbers are those of the single layers and of the injection at the noise points between them: bitwise, except the
sign of zeros, as long as they are finite. A run with others has diverged in both ways.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from walking_noise.cpu_kernels.image_layers import ImageLayers, deviation_sums
from walking_noise.cpu_kernels.library import library
from walking_noise.cpu_kernels.noise_terms import NoiseTerms, computes_on
from walking_noise.models.noise_points import DrawingInject, Inject, NoisePoint
from walking_noise.pack.layers.batch_norm import PackedBatchNorm, batch_statistics, normalisation_gradients
from walking_noise.pack.layers.convolution import PackedConv2d
from walking_noise.pack.layers.layer_sequence import Taker, find_consecutive
from walking_noise.pack.layers.pooling import PackedMaxPool2d
from walking_noise.pack.stacking import expand_rows

POOLED = (2, 2)
Draw = Callable[[int], NoiseTerms | None]
"""The noise of a member at one noise point; None without noise."""


@dataclass(frozen=True)
class FusedLayers:
    """Consecutive layers of a pack that can be computed in one pass.

    Attributes
    ----------
    length
        Number of the layers, with the noise points between them.
    convolution
        The first layer if it is a convolution; its output is nobody else's, so noise is applied to it in place.
    norm
        The BatchNorm before the ReLU.
    points
        Numbers of the noise points before the BatchNorm, before the ReLU and after it; None where there is none between
        these layers.
    pools
        Whether max-pooling follows.
    """

    length: int
    convolution: PackedConv2d | None
    norm: PackedBatchNorm | None
    points: tuple[int | None, int | None, int | None]
    pools: bool

    def forward(self, x: Tensor, inject: Inject, members: int) -> Tensor | None:
        """The output ``(K, B, …)`` for the input ``(K, B, …)`` or fewer rows; None: compute it layer by layer.

        That is the case without kernels, for other inputs than images in float32 on a CPU, for gradients at inference,
        and if the injection cannot draw the noise beforehand.
        """
        norm = self.norm
        if norm is not None and (norm.weight.dtype != torch.float32 or (not norm.training and torch.is_grad_enabled())):
            return None
        if x.dim() != 5 or not computes_on(x[0]) or library() is None or not isinstance(inject, DrawingInject):
            return None
        if any(point is not None and not inject.draws(point) for point in self.points):
            return None
        width = x.shape[-1] if self.convolution is None else self.convolution.output_width(x.shape[-1])
        if self.pools and width % 2:
            return None
        rows = expand_rows(members, x).unbind(0) if self.convolution is None else self.convolution.rows(x)
        shape = (rows[0].shape[0], rows[0].shape[1] * len(rows) // members, *rows[0].shape[2:])
        draw = [_noise_at(point, inject, shape) for point in self.points]
        normalised: tuple[Any, ...] = (None, None, None, 0.0)
        if norm is not None:
            statistics = None if norm.training else (norm.running_mean, norm.running_var)
            normalised = (norm.weight, norm.bias, statistics, norm.eps)
        y: Tensor
        y, mean, var = _Fused.apply(members, torch.is_grad_enabled(), *normalised, draw, self.pools, *rows)  # type: ignore[no-untyped-call]
        if norm is not None and norm.training:
            norm.update_statistics(mean, var, shape[0] * shape[2] * shape[3])
        return y


def _noise_at(point: int | None, inject: DrawingInject, shape: Sequence[int]) -> Draw:
    return lambda member: None if point is None else inject.draw(point, member, shape)


def find_fused_layers(layers: Sequence[nn.Module]) -> dict[int, FusedLayers]:
    """The layers of a pack that can be fused, by the position of the first."""
    return find_consecutive(layers, _fused_at)


def _fused_at(layers: Sequence[nn.Module]) -> FusedLayers | None:
    """The fused layers at the beginning of ``layers``.

    They have a ReLU, with a BatchNorm before it or max-pooling behind it.
    """
    reader = Taker(layers)
    take = reader.take
    convolution = take(PackedConv2d)
    behind_convolution = take(NoisePoint) if convolution is not None else None
    norm = take(PackedBatchNorm)
    behind_norm = take(NoisePoint) if norm is not None else None
    if take(nn.ReLU) is None:
        return None
    end = reader.taken
    behind_relu, pool = take(NoisePoint), take(PackedMaxPool2d)
    pools = pool is not None and pool.window == POOLED
    if not pools:
        if norm is None:
            return None
        behind_relu, reader.taken = None, end
    if norm is None:
        behind_convolution, behind_norm = None, behind_convolution
    numbers = [None if one is None else one.point.number for one in (behind_convolution, behind_norm, behind_relu)]
    return FusedLayers(reader.taken, convolution, norm, (numbers[0], numbers[1], numbers[2]), pools)


class _Fused(torch.autograd.Function):
    """The fused layers of all members, member by member; returns the output, and mean and variance ``(K, C)``.

    Parameters
    ----------
    with_gradient
        Whether to keep what the gradient needs.
    weight, bias
        Of the BatchNorm, ``(K, C)``; None without it.
    statistics
        Mean and variance at inference, ``(K, C)``; None: those of the samples.
    draw
        The noise before the BatchNorm, before the ReLU and after it. The first is applied to ``rows`` in place.
    rows
        Inputs ``(B, members of the row · C, H, W)`` of consecutive members.
    """

    @staticmethod
    def forward(
        ctx: Any,
        members: int,
        with_gradient: bool,
        weight: Tensor | None,
        bias: Tensor | None,
        statistics: tuple[Tensor, Tensor] | None,
        eps: float,
        draw: Sequence[Draw],
        pools: bool,
        *rows: Tensor,
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        xs = _members(rows, members)
        ctx.noises = {}
        for member, x in enumerate(xs):
            if noise := draw[0](member):
                noise.apply(x, out=x)
                if with_gradient:
                    ctx.noises[member] = noise.for_gradient()
        mean = var = inverse = None
        normalisations: Sequence[Any] = [None] * members
        if weight is not None and bias is not None:
            mean, var = statistics or _statistics(xs)
            inverse = (var + eps).rsqrt()
            normalisations = list(zip(mean, weight * inverse, bias.clone(), strict=True))
        parts = [rows[0].shape[-2] // 2, rows[0].shape[-1] // 2] if pools else rows[0].shape[-2:]
        y = rows[0].new_empty(members, *xs[0].shape[:2], *parts)
        positions = torch.empty(y.shape, dtype=torch.uint8) if pools and with_gradient else None
        ctx.layers = []
        for member, normalisation in enumerate(normalisations):
            layers = ImageLayers(normalisation, draw[1](member), draw[2](member), pools)
            layers.forward(xs[member], y[member], None if positions is None else positions[member])
            if with_gradient:
                ctx.layers.append(layers.for_gradient())
        if with_gradient:
            ctx.save_for_backward(positions, *rows)
        ctx.inverse = inverse
        if mean is not None and var is not None:
            ctx.mark_non_differentiable(mean, var)
        return y, mean, var

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        positions, *rows = ctx.saved_tensors
        gradient, results = gradients[0].contiguous(), [torch.empty_like(row) for row in rows]
        xs, outs = _members(rows, len(ctx.layers)), _members(results, len(ctx.layers))
        sums = []
        for member, layers in enumerate(ctx.layers):
            where = None if positions is None else positions[member]
            sums.append(layers.gradient(xs[member], gradient[member], where, outs[member]))
        if ctx.inverse is None:
            return *(None,) * 8, *results
        totals, products = (torch.cat(one).flatten(1) for one in zip(*sums, strict=True))
        parts = normalisation_gradients(totals, products, ctx.inverse.flatten(), len(rows[0]))
        weight_gradient, bias_gradient, slope, shift = (part.view_as(ctx.inverse) for part in parts)
        for member, layers in enumerate(ctx.layers):
            layers.normalisation_gradient(xs[member], slope[member], shift[member], outs[member])
            if member in ctx.noises:
                ctx.noises[member].apply_to_gradient(outs[member], out=outs[member])
        return None, None, weight_gradient, bias_gradient, *(None,) * 4, *results


def _members(rows: Sequence[Tensor], members: int) -> list[Tensor]:
    """The part ``(B, C, H, W)`` of each member in rows ``(B, members of the row · C, H, W)``, as views."""
    each = members // len(rows)
    return [part for row in rows for part in row.unflatten(1, (each, -1)).unbind(1)]


def _statistics(xs: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Mean and variance of the channels of each member, ``(K, C)``."""
    sums, squares = (torch.cat(one).flatten(1) for one in zip(*map(deviation_sums, xs), strict=True))
    first = torch.cat([x[0] for x in xs]).flatten(1)
    mean, var = batch_statistics(first, sums, squares, len(xs[0]))
    return mean.view(len(xs), -1), var.view(len(xs), -1)
