"""Convolution layers of a pack."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from walking_noise.pack.gpu.choices import LayerShape, chosen
from walking_noise.pack.gpu.convolutions import convolve, padded_edges
from walking_noise.pack.stacking import aligned, split_members, stack_parameters, stacked_bias


class PackedConv2d(nn.Module):
    """Convolutions with weights ``(K, out, in, height, width)``.

    Members that share their input are computed as one convolution with the filters of all members. This fills the
    vector registers, which the few filters of one member do not. Members with separate inputs are computed as one
    convolution each on a CPU, which was measured to be as fast as a grouped one, and its results are bitwise equal for
    every K. On a GPU a table of measurements chooses (:mod:`walking_noise.pack.gpu.choices`).
    """

    def __init__(self, members: Sequence[nn.Conv2d]) -> None:
        super().__init__()
        self.stride, self.padding = members[0].stride, members[0].padding
        self.weight = stack_parameters([member.weight for member in members])
        self.bias: Tensor | None = None
        if members[0].bias is not None:
            self.bias = stack_parameters([cast(Tensor, member.bias) for member in members])

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type != "cpu":
            return self._on_a_gpu(x)
        rows = [split_members(row, len(self.weight) // len(x)) for row in self.rows(x)]
        return rows[0] if len(rows) == 1 else torch.cat(rows)

    def output_width(self, width: int) -> int:
        """The width of the output for an input of this width."""
        if self.padding == "same":
            return width
        padding = 0 if isinstance(self.padding, str) else self.padding[1]
        return (width + 2 * padding - self.weight.shape[-1]) // self.stride[1] + 1

    def rows(self, x: Tensor) -> list[Tensor]:
        """The output ``(B, members of the row · C, …)`` for each row of the input, contiguous."""
        weights, biases = (
            self.weight.unflatten(0, (len(x), -1)),
            stacked_bias(self.weight, self.bias).unflatten(0, (len(x), -1)),
        )
        rows = [
            F.conv2d(
                aligned(row), aligned(weight.flatten(0, 1)), aligned(bias.flatten()), self.stride, self.padding
            ).contiguous()
            for row, weight, bias in zip(x.unbind(0), weights.unbind(0), biases.unbind(0), strict=True)
        ]
        for row in rows:
            if row.requires_grad:
                row.register_hook(aligned)
        return rows

    def _on_a_gpu(self, x: Tensor) -> Tensor:
        kernel, stride = (self.weight.shape[3], self.weight.shape[4]), (self.stride[0], self.stride[1])
        padding = padded_edges(self.padding, kernel)  # type: ignore[arg-type]
        sizes = {"filters": self.weight.shape[1], "kernel": kernel, "stride": stride, "padding": padding}
        alternative = chosen(LayerShape.of("convolution", x, **sizes), x.device)
        return convolve(alternative, x, self.weight, stacked_bias(self.weight, self.bias), stride, padding)
