"""Layers of many runs at once.

Each packed layer holds the parameters of K runs stacked in front, ``(K, *shape)``, under the names of the plain torch
layer it stands for, and maps ``(K, B, …)`` to ``(K, B, …)``: B samples for each of the K runs. What it computes for one
run does not depend on the others. :func:`pack_layer` finds the packed layer for a plain one; a layer it does not know
runs member by member, which is slower and gives the same numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from walking_noise.points import NoisePoint

RANDOM = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.RReLU)
"""Layers that draw from torch's global generator, and so depend on what else is drawn."""


def _stacked(tensors: Sequence[Tensor]) -> nn.Parameter:
    return nn.Parameter(torch.stack([tensor.detach() for tensor in tensors]))


class MemberByMember(nn.Module):
    """Any layer, run by run: the reference that every faster packed layer is tested against."""

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self._template = [members[0]]
        for name, _ in members[0].named_parameters():
            self.register_parameter(flat_name(name), _stacked([m.get_parameter(name) for m in members]))
        for name, _ in members[0].named_buffers():
            self.register_buffer(flat_name(name), torch.stack([m.get_buffer(name) for m in members]))

    def forward(self, x: Tensor) -> Tensor:
        template = self._template[0].train(self.training)
        names = [name for name, _ in (*template.named_parameters(), *template.named_buffers())]
        stacks = [getattr(self, flat_name(name)).unbind(0) for name in names]
        outputs = [
            functional_call(template, dict(zip(names, tensors, strict=True)), (member,))
            for member, *tensors in zip(x.unbind(0), *stacks, strict=True)
        ]
        return torch.stack(outputs)


class PackedLinear(nn.Module):
    """Linear layers with weights ``(K, out, in)`` as one batched matrix product."""

    def __init__(self, members: Sequence[nn.Linear]) -> None:
        super().__init__()
        self.weight = _stacked([member.weight for member in members])
        self.bias = _stacked([member.bias for member in members])

    def forward(self, x: Tensor) -> Tensor:
        rows = x.flatten(1, -2)
        y = torch.baddbmm(self.bias.unsqueeze(1), rows, self.weight.transpose(1, 2))
        if y.requires_grad:  # the sum over B that is the bias's gradient rounds by the layout of what it sums
            y.register_hook(torch.Tensor.contiguous)
        return y.view(*x.shape[:-1], -1)


class PackedConv2d(nn.Module):
    """Convolutions with weights ``(K, out, in, height, width)``.

    A grouped convolution on a GPU. On a CPU one convolution per run, which was measured to be as fast and gives the
    same bits whatever K is.
    """

    def __init__(self, members: Sequence[nn.Conv2d]) -> None:
        super().__init__()
        self.stride, self.padding = members[0].stride, members[0].padding
        self.weight = _stacked([member.weight for member in members])
        self.bias = _stacked([cast(Tensor, member.bias) for member in members])

    def forward(self, x: Tensor) -> Tensor:
        if len(x) == 1 or x.device.type != "cpu":
            return self._grouped(x)
        members = zip(x.unbind(0), self.weight.unbind(0), self.bias.unbind(0), strict=True)
        return torch.stack([F.conv2d(x, w, b, self.stride, self.padding) for x, w, b in members])

    def _grouped(self, x: Tensor) -> Tensor:
        weight, bias = self.weight.flatten(0, 1), self.bias.flatten()
        y = F.conv2d(_merged(x), weight, bias, self.stride, self.padding, groups=len(x))
        return _split(y, len(x))


class PackedBatchNorm(nn.Module):
    """BatchNorm over the channels of all runs side by side; statistics ``(K, channels)``."""

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, members: Sequence[nn.BatchNorm1d | nn.BatchNorm2d]) -> None:
        super().__init__()
        self.eps, self.momentum = members[0].eps, cast(float, members[0].momentum)
        self.weight = _stacked([member.weight for member in members])
        self.bias = _stacked([member.bias for member in members])
        self.register_buffer("running_mean", torch.stack([m.get_buffer("running_mean") for m in members]))
        self.register_buffer("running_var", torch.stack([m.get_buffer("running_var") for m in members]))

    def forward(self, x: Tensor) -> Tensor:
        y = F.batch_norm(
            _merged(x),
            self.running_mean.view(-1),
            self.running_var.view(-1),
            self.weight.flatten(),
            self.bias.flatten(),
            training=self.training,
            momentum=self.momentum,
            eps=self.eps,
        )
        return _split(y, len(x))


class SampleBySample(nn.Module):
    """A layer without parameters that treats every sample alone, for all runs at once."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layer(x.flatten(0, 1)).unflatten(0, x.shape[:2])
        return y


def _merged(x: Tensor) -> Tensor:
    """``(K, B, C, …)`` to ``(B, K·C, …)``; no copy for K = 1."""
    return x.transpose(0, 1).flatten(1, 2)


def _split(x: Tensor, runs: int) -> Tensor:
    """``(B, K·C, …)`` to ``(K, B, C, …)``, as a view."""
    split: Tensor = x.unflatten(1, (runs, -1))
    return split.transpose(0, 1)


def flat_name(name: str) -> str:
    """A parameter's dotted name as torch allows it on one module."""
    return name.replace(".", "__")


def pack_layer(members: Sequence[nn.Module]) -> nn.Module:
    """The packed layer for K equal layers.

    Only plain torch layers have one of their own; a subclass may compute anything, and runs member by member.
    """
    first = members[0]
    if any(isinstance(module, RANDOM) for module in first.modules()):
        raise ValueError(f"{type(first).__name__} draws random numbers that are not its run's own")
    if type(first) in (nn.ReLU, NoisePoint):
        return first
    if type(first) in (nn.MaxPool2d, nn.Flatten):
        return SampleBySample(first)
    if type(first) is nn.Linear and first.bias is not None and not _is_tiny(first):
        return PackedLinear(cast(Sequence[nn.Linear], members))
    if type(first) is nn.Conv2d and _is_plain_convolution(first):
        return PackedConv2d(cast(Sequence[nn.Conv2d], members))
    if type(first) in (nn.BatchNorm1d, nn.BatchNorm2d) and _is_plain_batch_norm(cast(nn.BatchNorm1d, first)):
        return PackedBatchNorm(cast(Sequence[nn.BatchNorm1d], members))
    return MemberByMember(members)


def _is_tiny(layer: nn.Linear) -> bool:
    """Whether a CPU multiplies such a matrix alone in another way than in a batch, and rounds it otherwise."""
    return layer.in_features <= 50 and layer.out_features <= 10


def _is_plain_convolution(layer: nn.Conv2d) -> bool:
    usual = layer.groups == 1 and layer.dilation == (1, 1) and layer.padding_mode == "zeros"
    return usual and layer.bias is not None


def _is_plain_batch_norm(layer: nn.BatchNorm1d) -> bool:
    return layer.affine and layer.track_running_stats and layer.momentum is not None
