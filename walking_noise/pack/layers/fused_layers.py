"""Fused layers on images on a CPU: [BatchNorm] ReLU [2×2 max-pooling] in one pass, with the noise between them.

The numbers are bitwise those of the single layers and of the injection at the noise points between them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from walking_noise.cpu_kernels.image_layers import ImageLayers, deviation_sums
from walking_noise.cpu_kernels.library import library
from walking_noise.cpu_kernels.noise_terms import NoiseTerms, computes_on
from walking_noise.models.noise_points import DrawingInject, Inject, NoisePoint
from walking_noise.pack.layers.batch_norm import PackedBatchNorm, batch_statistics, normalisation_gradients
from walking_noise.pack.layers.pooling import PackedMaxPool2d
from walking_noise.pack.stacking import expand_rows

POOLED = (2, 2)
NoiseOfMembers = Mapping[int, NoiseTerms]


@dataclass(frozen=True)
class FusedLayers:
    """Consecutive layers of a pack that can be computed in one pass.

    Attributes
    ----------
    layers
        All layers, with the noise points between them.
    before_relu, after_relu
        Numbers of the noise points before and after the ReLU; None where there is none between these layers.
    """

    layers: tuple[nn.Module, ...]
    norm: PackedBatchNorm | None
    before_relu: int | None
    after_relu: int | None
    pools: bool

    @property
    def points(self) -> list[int]:
        """The noise points between the layers."""
        return [point for point in (self.before_relu, self.after_relu) if point is not None]

    def forward(self, x: Tensor, inject: Inject, members: int) -> Tensor | None:
        """The output ``(K, B, …)`` for the input ``(K, B, …)`` or fewer rows; None if it must be computed layer by layer.

        That is the case without kernels, for other inputs than images in float32 on a CPU, for gradients at inference,
        and if the injection cannot draw the noise beforehand.
        """
        if self.norm is not None and not self.norm.training and torch.is_grad_enabled():
            return None
        if x.dim() != 5 or not computes_on(x[0]) or (self.pools and x.shape[-1] % 2) or library() is None:
            return None
        x = expand_rows(members, x)
        if torch.empty_like(x, device="meta").stride()[1:] != x.stride()[1:]:
            x = x.contiguous()  # its gradient has the same strides
        noises: list[NoiseOfMembers] = []
        for point in (self.before_relu, self.after_relu):
            drawn = {} if point is None else inject.draw(point, x) if isinstance(inject, DrawingInject) else None
            if drawn is None:
                return None
            noises.append(drawn)
        norm = self.norm
        if norm is not None and norm.training:
            mean, var = _statistics(x)
            inverse = (var + norm.eps).rsqrt()
            norm.update_statistics(mean, var, x[0, :, 0].numel())
            statistics = (mean, inverse)
        elif norm is not None:
            statistics = (norm.running_mean, (norm.running_var + norm.eps).rsqrt())
        else:
            statistics = None
        parameters = (None, None) if norm is None else (norm.weight, norm.bias)
        y: Tensor = _Fused.apply(x, *parameters, statistics, noises, self.pools)  # type: ignore[no-untyped-call]
        return y


def find_fused_layers(layers: Sequence[nn.Module]) -> dict[int, FusedLayers]:
    """The layers of a pack that can be fused, by the position of the first."""
    found: dict[int, FusedLayers] = {}
    position = 0
    while position < len(layers):
        fused = _fused_at(layers[position:])
        if fused is not None:
            found[position] = fused
        position += 1 if fused is None else len(fused.layers)
    return found


def _fused_at(layers: Sequence[nn.Module]) -> FusedLayers | None:
    """The fused layers at the beginning of ``layers``: a ReLU with a BatchNorm before it or max-pooling behind it."""
    taken = 0

    def take(kind: type[nn.Module]) -> Any:
        """The next layer if it is of this kind."""
        nonlocal taken
        if taken == len(layers) or not isinstance(layers[taken], kind):
            return None
        taken += 1
        return layers[taken - 1]

    norm = take(PackedBatchNorm)
    before = take(NoisePoint) if norm is not None else None
    if take(nn.ReLU) is None:
        return None
    end = taken
    after, pool = take(NoisePoint), take(PackedMaxPool2d)
    pools = pool is not None and pool.window == POOLED
    if not pools:
        if norm is None:
            return None
        after, taken = None, end
    points = (None if point is None else point.point.number for point in (before, after))
    return FusedLayers(tuple(layers[:taken]), norm, *points, pools)


def _statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of the channels of all members, ``(K, C)``."""
    sums, squares = (torch.stack(one).flatten(0, 1).flatten(1) for one in zip(*map(deviation_sums, x), strict=True))
    mean, var = batch_statistics(x[:, 0].flatten(0, 1).flatten(1), sums, squares, x.shape[1])
    return mean.view(len(x), -1), var.view(len(x), -1)


class _Fused(torch.autograd.Function):
    """The fused layers of all members, member by member.

    ``statistics``: mean and ``1 / √(var + eps)``, ``(K, C)``; None without BatchNorm. ``noises``: the noise before and
    after the ReLU, by member.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        statistics: tuple[Tensor, Tensor] | None,
        noises: Sequence[NoiseOfMembers],
        pools: bool,
    ) -> Tensor:
        parts = [x.shape[-2] // 2, x.shape[-1] // 2] if pools else x.shape[-2:]
        y = torch.empty(*x.shape[:3], *parts)
        positions = torch.empty(y.shape, dtype=torch.uint8) if pools and ctx.needs_input_grad[0] else None
        normalisations: Sequence[Any] = [None] * len(x)
        if statistics is not None and weight is not None and bias is not None:
            mean, inverse = statistics
            normalisations = list(zip(mean, weight * inverse, bias, strict=True))
        ctx.layers = [
            ImageLayers(normalisation, *(noise.get(member) for noise in noises), pools)
            for member, normalisation in enumerate(normalisations)
        ]
        for member, layers in enumerate(ctx.layers):
            layers.forward(x[member], y[member], None if positions is None else positions[member])
        ctx.layers = [layers.for_gradient() for layers in ctx.layers]
        ctx.save_for_backward(x, positions)
        ctx.inverse = None if statistics is None else statistics[1]
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, positions = ctx.saved_tensors
        gradient, result = gradients[0].contiguous(), torch.empty_like(x)
        sums = []
        for member, layers in enumerate(ctx.layers):
            where = None if positions is None else positions[member]
            sums.append(layers.gradient(x[member], gradient[member], where, result[member]))
        if ctx.inverse is None:
            return result, *(None,) * 5
        totals = [torch.stack(one).flatten(0, 1).flatten(1) for one in zip(*sums, strict=True)]
        parts = normalisation_gradients(*totals, ctx.inverse.flatten(), x.shape[1])
        weight_gradient, bias_gradient, slope, shift = (part.view_as(ctx.inverse) for part in parts)
        for member, layers in enumerate(ctx.layers):
            layers.normalisation_gradient(x[member], slope[member], shift[member], result[member])
        return result, weight_gradient, bias_gradient, None, None, None
