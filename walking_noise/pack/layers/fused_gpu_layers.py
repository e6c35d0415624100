"""Layers on images on a GPU, [BatchNorm] ReLU 2×2 max-pooling with the noise between them, fused where it is chosen.

Fused layers are used in training only. An evaluation may be split between any two layers, depending on the runs that
share it, so there all layers are computed separately.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from walking_noise.models.noise_points import FusingInject, Inject, NoisePoint
from walking_noise.pack.gpu.choices import LayerShape, chosen
from walking_noise.pack.layers.batch_norm import PackedBatchNorm
from walking_noise.pack.layers.layer_sequence import Taker, find_consecutive
from walking_noise.pack.layers.pooling import PackedMaxPool2d
from walking_noise.pack.stacking import expand_rows


@dataclass(frozen=True)
class ImageLayers:
    """Consecutive layers of a pack that a GPU can compute at once; attributes as for the fused layers of a CPU."""

    length: int
    norm: PackedBatchNorm | None
    points: tuple[int | None, int | None]  # before the ReLU and after it

    def forward(self, x: Tensor, inject: Inject, members: int) -> Tensor | None:
        """The output ``(K, B, …)`` for the input ``(K, B, …)`` or fewer rows; None: compute it layer by layer.

        That is the choice of the table, or the noise cannot be fused, or this is no training on images of even size.
        """
        if x.dim() != 5 or x.shape[-1] % 2 or x.shape[-2] % 2 or not torch.is_grad_enabled():
            return None
        norm = self.norm
        alternative = chosen(LayerShape.of("image_layers", x, batch_norm=norm is not None), x.device)
        if alternative != "fused" or not isinstance(inject, FusingInject) or not (norm is None or norm.training):
            return None
        normalisation = None if norm is None else (norm.weight, norm.bias, norm.eps)
        fused = inject.image_layers(self.points, expand_rows(members, x), normalisation)
        if fused is None:
            return None
        y, mean, var = fused
        if norm is not None and mean is not None and var is not None:
            norm.update_statistics(mean, var, x[0].numel() // x.shape[2])
        return y


def find_image_layers(layers: Sequence[nn.Module]) -> dict[int, ImageLayers]:
    """The layers of a pack that can be fused, by the position of the first."""
    return find_consecutive(layers, _image_layers_at)


def _image_layers_at(layers: Sequence[nn.Module]) -> ImageLayers | None:
    """The image layers at the beginning of ``layers``."""
    reader = Taker(layers)
    norm, before, relu, after, pool = map(
        reader.take, (PackedBatchNorm, NoisePoint, nn.ReLU, NoisePoint, PackedMaxPool2d)
    )
    if relu is None or pool is None or pool.window != (2, 2):
        return None
    return ImageLayers(reader.taken, norm, tuple(None if one is None else one.point.number for one in (before, after)))  # type: ignore[arg-type]
