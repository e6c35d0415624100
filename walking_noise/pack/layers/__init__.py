"""Layers of a pack: each computes one layer of all members.

A packed layer replaces the same layer of K networks. It stacks their parameters, ``(K, *shape)``, under the names of
the plain torch layer, and maps ``(K, B, …)`` to ``(K, B, …)``: B samples for each of the K members. The result for one
member does not depend on the others. If members share their samples, the input may have fewer rows, ``(rows, B, …)``;
each row is then the input of K / rows consecutive members. :func:`pack_layer` selects the packed layer for a plain
layer. Layers without a special packed layer are computed member by member, which is slower and gives the same numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from torch import nn

from walking_noise.models.graph_layer import GraphLayer
from walking_noise.models.noise_points import NoisePoint
from walking_noise.pack.layers.batch_norm import PackedBatchNorm
from walking_noise.pack.layers.convolution import PackedConv2d
from walking_noise.pack.layers.linear import PackedLinear
from walking_noise.pack.layers.member_by_member import MemberByMember
from walking_noise.pack.layers.packed_graph import PackedGraph
from walking_noise.pack.layers.pooling import PackedMaxPool2d
from walking_noise.pack.layers.samplewise import SampleBySample

__all__ = [
    "MemberByMember",
    "PackedBatchNorm",
    "PackedConv2d",
    "PackedGraph",
    "PackedLinear",
    "PackedMaxPool2d",
    "SampleBySample",
    "pack_layer",
]


def pack_layer(members: Sequence[nn.Module]) -> nn.Module:
    """The packed layer for the same layer of K networks.

    Only exact torch types have a special packed layer. A subclass may compute something else, so it is computed member
    by member.
    """
    first = members[0]
    if type(first) is NoisePoint:
        return first
    if first._forward_hooks or first._forward_pre_hooks or first._backward_hooks or first._backward_pre_hooks:
        return MemberByMember(members)
    if type(first) is nn.ReLU:
        return nn.ReLU()  # never in place, which would change the input of the noise point before it
    if type(first) is nn.Identity:
        return first
    if type(first) is nn.MaxPool2d and PackedMaxPool2d.fits(first):
        return PackedMaxPool2d(first)
    if _is_sample_by_sample(first):
        return SampleBySample(first)
    if type(first) is GraphLayer and not first.shares_tensors():
        parts = {path: [member.get_submodule(path) for member in members] for path in first.modules_called()}
        return PackedGraph(
            cast(Sequence[GraphLayer], members), {path: pack_layer(part) for path, part in parts.items()}
        )
    if type(first) is nn.Linear:
        return PackedLinear(cast(Sequence[nn.Linear], members))
    if type(first) is nn.Conv2d and _is_plain_convolution(first):
        return PackedConv2d(cast(Sequence[nn.Conv2d], members))
    if type(first) in (nn.BatchNorm1d, nn.BatchNorm2d) and _is_plain_batch_norm(cast(nn.BatchNorm1d, first)):
        return PackedBatchNorm(cast(Sequence[nn.BatchNorm1d], members))
    return MemberByMember(members)


def _is_sample_by_sample(layer: nn.Module) -> bool:
    """Whether a layer without parameters computes one tensor, sample by sample."""
    if type(layer) is nn.MaxPool2d:
        return not layer.return_indices
    return type(layer) is nn.Flatten and layer.start_dim >= 1


def _is_plain_convolution(layer: nn.Conv2d) -> bool:
    """Whether :class:`PackedConv2d` supports the options of ``layer``."""
    return layer.groups == 1 and layer.dilation == (1, 1) and layer.padding_mode == "zeros"


def _is_plain_batch_norm(layer: nn.BatchNorm1d) -> bool:
    """Whether :class:`PackedBatchNorm` supports the options of ``layer``."""
    return layer.affine and layer.track_running_stats and layer.momentum is not None
