"""Max-pooling layers of a pack."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from walking_noise.pack.stacking import cache_sized_slices, merge_members, split_members


class PackedMaxPool2d(nn.Module):
    """Max-pooling over windows that do not overlap, computed as the maximum of strided views of the input.

    On a CPU this is many times as fast as torch's kernel. Result and gradient are bitwise those of torch.
    """

    def __init__(self, layer: nn.MaxPool2d) -> None:
        super().__init__()
        self.layer = layer
        self.window = _pair(layer.kernel_size)

    def forward(self, x: Tensor) -> Tensor:
        y = merge_members(x)
        y = _MaxPool.apply(y, self.window) if x.device.type == "cpu" else self.layer(y)  # type: ignore[no-untyped-call]
        return split_members(y, len(x))

    @staticmethod
    def fits(layer: nn.MaxPool2d) -> bool:
        """Whether the windows tile the input, without overlap, padding or dilation, and no indices are returned."""
        tiles = _pair(layer.stride) == _pair(layer.kernel_size)
        undilated = _pair(layer.padding) == (0, 0) and _pair(layer.dilation) == (1, 1)
        return tiles and undilated and not layer.ceil_mode and not layer.return_indices


class _MaxPool(torch.autograd.Function):
    """Max-pooling with its gradient, which goes to the first of equal maxima in row-major order, as torch's does.

    The result of each comparison is stored as 0.0 or 1.0, and the gradient is multiplied by it. On a CPU this is ten
    times as fast as a selection.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, window: tuple[int, int]) -> Tensor:
        y = torch.empty_like(next(_window_views(x, window)), memory_format=torch.contiguous_format)
        greater = [torch.empty_like(y) for _ in range(window[0] * window[1] - 1)]
        for images in cache_sized_slices(x):
            first, *others = _window_views(x[images], window)
            largest = y[images].copy_(first)
            for view, is_greater in zip(others, greater, strict=True):
                contiguous = view.contiguous()
                torch.gt(contiguous, largest, out=is_greater[images])
                torch.maximum(largest, contiguous, out=largest)
        ctx.save_for_backward(*greater)
        ctx.window, ctx.like = window, torch.empty_like(x, device="meta")
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        gradient = gradients[0].contiguous()
        result = torch.empty_like(ctx.like, device=gradient.device)
        for images in cache_sized_slices(result):
            remaining, part = gradient[images], result[images]
            first, *others = _window_views(part, ctx.window)
            if first.numel() * (len(others) + 1) < part.numel():
                part.zero_()
            for view, is_greater in zip(reversed(others), reversed(ctx.saved_tensors), strict=True):
                received = remaining * is_greater[images]
                remaining = remaining - received
                view.copy_(received)
            first.copy_(remaining)
        return result, None


def _window_views(x: Tensor, window: tuple[int, int]) -> Iterator[Tensor]:
    """For each position in a window, a view ``(…, height / rows, width / columns)`` of that element of all windows."""
    rows, columns = window
    height, width = x.shape[-2] // rows * rows, x.shape[-1] // columns * columns
    for row in range(rows):
        for column in range(columns):
            yield x[..., row:height:rows, column:width:columns]


def _pair(value: Any) -> tuple[int, int]:
    """Height and width from one of torch's options, which is a number or a pair."""
    return (value, value) if isinstance(value, int) else tuple(value)
