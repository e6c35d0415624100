"""Forward pass of a sequence of layers of a pack, with consecutive layers fused where that is possible."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from walking_noise.models.noise_points import Inject, NoisePoint
from walking_noise.pack.layers.fused_gpu_layers import ImageLayers, find_image_layers
from walking_noise.pack.layers.fused_layers import FusedLayers, find_fused_layers
from walking_noise.pack.layers.member_by_member import MemberByMember
from walking_noise.pack.layers.packed_graph import PackedGraph
from walking_noise.pack.stacking import expand_rows


def forward_layers(layers: Sequence[nn.Module], x: Tensor, inject: Inject, members: int) -> Tensor:
    """The output ``(K, B, …)``, or fewer rows, of consecutive layers of ``members`` networks.

    Parameters
    ----------
    x
        Input ``(K, B, …)``; fewer rows if members share their samples.
    inject
        Injection at the noise points.
    """
    find = find_fused_layers if x.device.type == "cpu" else find_image_layers
    fused_layers: Mapping[int, FusedLayers | ImageLayers] = find(layers)
    position = 0
    while position < len(layers):
        fused = fused_layers.get(position)
        if fused is not None and (y := fused.forward(x, inject, members)) is not None:
            x, position = y, position + fused.length
        else:
            x, position = forward_layer(layers[position], x, inject, members), position + 1
    return x


def forward_layer(layer: nn.Module, x: Tensor, inject: Inject, members: int) -> Tensor:
    """The output of one layer, not fused, as :func:`forward_layers`."""
    if isinstance(layer, NoisePoint):
        return inject(layer.point.number, x)
    y: Tensor
    if isinstance(layer, PackedGraph):
        y = layer(x, inject, members, forward_layers)
    elif isinstance(layer, MemberByMember) and layer.has_points:
        y = layer(expand_rows(members, x), inject)
    else:
        y = layer(x)
    return y
