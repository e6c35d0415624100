"""Triton kernels of convolutions with weights of their own for each member of a pack. Imported on a GPU only.

Each kernel is a matrix product for one member whose operands are gathered from the images (implicit GEMM): in float32
with IEEE 754 products, without TensorFloat-32. The sizes of tiles and the order of sums depend on the shape of one
member only, so the numbers of a member do not depend on its pack. Their speed has not been measured.
"""
# mypy: disable-error-code="import-untyped, untyped-decorator, no-untyped-def"

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from walking_noise.pack.gpu.convolutions import Edges, Pair, output_size
from walking_noise.pack.stacking import empty_side_by_side

PIXELS = 128
"""Pixels of all samples in one tile of the output."""
SUMMED = 32
"""Products that are added up at once."""
SAMPLES = 16
"""Samples in one partial sum of the gradient of the weights. The partial sums are added in their order."""
SMALLEST, LARGEST = 16, 64
"""Limits of the tiles along channels, filters and weights."""
ELEMENTS = 256
"""Weights whose partial sums one program adds up."""


def convolve(x: Tensor, weight: Tensor, bias: Tensor, stride: Pair, padding: Edges) -> Tensor:
    """The convolution, as :mod:`walking_noise.pack.gpu.convolutions` describes it, in float32."""
    y: Tensor = _Convolution.apply(x, weight, bias, stride, padding)  # type: ignore[no-untyped-call]
    return y


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, stride: Pair, padding: Edges) -> Tensor:
        x, weight = _plain(x), weight if weight[0].is_contiguous() else weight.contiguous()
        members, filters, _, *kernel = weight.shape
        size = output_size((x.shape[3], x.shape[4]), (kernel[0], kernel[1]), stride, padding)
        ctx.save_for_backward(x, weight)
        ctx.constants = constants = _constants(x, weight, size, stride, padding)
        y = empty_side_by_side(x, members, filters, *size)
        tile = _tile(filters)
        with torch.cuda.device_of(x):
            _forward[triton.cdiv(x.shape[1] * size[0] * size[1], PIXELS), triton.cdiv(filters, tile), members](
                x, weight, bias.contiguous(), y, x.shape[1], members // len(x), *x.stride()[:2], weight.stride(0),
                *y.stride()[:2], **constants, TILE=tile, PIXELS=PIXELS, SUMMED=SUMMED,
            )  # fmt: skip
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor, Tensor, None, None]:
        gradient, (x, weight), constants = _plain(gradients[0]), ctx.saved_tensors, ctx.constants
        members, samples = gradient.shape[:2]
        x_gradient = None
        with torch.cuda.device_of(x):
            if ctx.needs_input_grad[0]:
                x_gradient = empty_side_by_side(x, members, *x.shape[2:])
                tile, pixels = _tile(x.shape[2]), samples * x.shape[3] * x.shape[4]
                _input_gradient[triton.cdiv(pixels, PIXELS), triton.cdiv(x.shape[2], tile), members](
                    gradient, weight, x_gradient, samples, *gradient.stride()[:2], weight.stride(0),
                    *x_gradient.stride()[:2], **constants, TILE=tile, PIXELS=PIXELS, SUMMED=SUMMED,
                )  # fmt: skip
                if len(x) < members:
                    x_gradient = x_gradient.unflatten(0, (len(x), -1)).sum(1)
            weight_gradient, bias_gradient = weight.new_empty(weight.shape), weight.new_empty(weight.shape[:2])
            filters, taps, parts = weight.shape[1], weight[0, 0].numel(), triton.cdiv(samples, SAMPLES)
            partial = weight.new_empty(members, parts, filters * (taps + 1))
            tile, tap_tile = _tile(filters), _tile(taps + 1)
            tiles = triton.cdiv(filters, tile) * triton.cdiv(taps + 1, tap_tile)
            _weight_gradient[parts, tiles, members](
                x, gradient, partial, samples, members // len(x), *x.stride()[:2], *gradient.stride()[:2], **constants,
                TILE=tile, TAP_TILE=tap_tile, SAMPLES=SAMPLES, SUMMED=SUMMED,
            )  # fmt: skip
            _add_parts[triton.cdiv(filters * (taps + 1), ELEMENTS), members](
                partial, weight_gradient, bias_gradient, PARTS=parts, FILTERS=filters, TAPS=taps, ELEMENTS=ELEMENTS
            )
        return x_gradient, weight_gradient, bias_gradient, None, None


def _plain(x: Tensor) -> Tensor:
    """The tensor ``(K, B, …)`` with contiguous samples, copied if necessary."""
    return x if x[0, 0].is_contiguous() else x.contiguous()


def _tile(number: int) -> int:
    return max(SMALLEST, min(LARGEST, 1 << (number - 1).bit_length()))


def _constants(x: Tensor, weight: Tensor, size: Pair, stride: Pair, padding: Edges) -> dict[str, int]:
    """The shape of one member, for which the kernels are compiled."""
    return {
        **dict(zip(("CHANNELS", "HEIGHT", "WIDTH"), x.shape[2:], strict=True)),
        **dict(zip(("FILTERS", "ROWS", "COLUMNS"), (weight.shape[1], *weight.shape[3:]), strict=True)),
        **dict(zip(("OUT_HEIGHT", "OUT_WIDTH", "DOWN", "ACROSS"), (*size, *stride), strict=True)),
        **{"LEFT": padding[0], "TOP": padding[2]},
    }


@triton.jit
def _patches(x_ptr, x_sample, sample, position, tap, inside,
             CHANNELS: tl.constexpr, HEIGHT: tl.constexpr, WIDTH: tl.constexpr, ROWS: tl.constexpr,
             COLUMNS: tl.constexpr, OUT_WIDTH: tl.constexpr, DOWN: tl.constexpr, ACROSS: tl.constexpr,
             LEFT: tl.constexpr, TOP: tl.constexpr):  # fmt: skip
    """The input values under the weights ``tap`` at an output position; 0 at the edge. All have the shape of a tile."""
    row = position // OUT_WIDTH * DOWN - TOP + tap // COLUMNS % ROWS
    column = position % OUT_WIDTH * ACROSS - LEFT + tap % COLUMNS
    known = inside & (tap < CHANNELS * ROWS * COLUMNS) & (row >= 0) & (row < HEIGHT) & (column >= 0) & (column < WIDTH)
    offset = tap // (ROWS * COLUMNS) * (HEIGHT * WIDTH) + row * WIDTH + column
    return tl.load(x_ptr + sample.to(tl.int64) * x_sample + offset, mask=known, other=0.0)


@triton.jit
def _forward(x_ptr, w_ptr, b_ptr, y_ptr, samples, per_row, x_row, x_sample, w_member, y_member, y_sample,
             CHANNELS: tl.constexpr, HEIGHT: tl.constexpr, WIDTH: tl.constexpr, FILTERS: tl.constexpr,
             ROWS: tl.constexpr, COLUMNS: tl.constexpr, OUT_HEIGHT: tl.constexpr, OUT_WIDTH: tl.constexpr,
             DOWN: tl.constexpr, ACROSS: tl.constexpr, LEFT: tl.constexpr, TOP: tl.constexpr,
             TILE: tl.constexpr, PIXELS: tl.constexpr, SUMMED: tl.constexpr):  # fmt: skip
    """Program (pixels, filters, member): a tile of the output."""
    TAPS: tl.constexpr = CHANNELS * ROWS * COLUMNS
    OUT: tl.constexpr = OUT_HEIGHT * OUT_WIDTH
    member = tl.program_id(2).to(tl.int64)
    pixel = (tl.program_id(0) * PIXELS + tl.arange(0, PIXELS))[:, None]
    out = (tl.program_id(1) * TILE + tl.arange(0, TILE))[None, :]
    sample, position = pixel // OUT, pixel % OUT
    inside = sample < samples
    y = tl.zeros((PIXELS, TILE), tl.float32)
    for start in range(0, TAPS, SUMMED):
        tap = start + tl.arange(0, SUMMED)
        patch = _patches(x_ptr + member // per_row * x_row, x_sample, sample, position, tap[None, :], inside,
                         CHANNELS, HEIGHT, WIDTH, ROWS, COLUMNS, OUT_WIDTH, DOWN, ACROSS, LEFT, TOP)  # fmt: skip
        known = (tap[:, None] < TAPS) & (out < FILTERS)
        weight = tl.load(w_ptr + member * w_member + out * TAPS + tap[:, None], mask=known, other=0.0)
        y = tl.dot(patch, weight, y, input_precision="ieee")
    y += tl.load(b_ptr + member * FILTERS + out, mask=out < FILTERS, other=0.0)
    offset = member * y_member + sample.to(tl.int64) * y_sample + out * OUT + position
    tl.store(y_ptr + offset, y, mask=inside & (out < FILTERS))


@triton.jit
def _input_gradient(g_ptr, w_ptr, x_ptr, samples, g_member, g_sample, w_member, x_member, x_sample,
                    CHANNELS: tl.constexpr, HEIGHT: tl.constexpr, WIDTH: tl.constexpr, FILTERS: tl.constexpr,
                    ROWS: tl.constexpr, COLUMNS: tl.constexpr, OUT_HEIGHT: tl.constexpr, OUT_WIDTH: tl.constexpr,
                    DOWN: tl.constexpr, ACROSS: tl.constexpr, LEFT: tl.constexpr, TOP: tl.constexpr,
                    TILE: tl.constexpr, PIXELS: tl.constexpr, SUMMED: tl.constexpr):  # fmt: skip
    """Program (pixels, channels, member): a tile of the gradient of the input, a sum over filters and their weights."""
    KERNEL: tl.constexpr = ROWS * COLUMNS
    member = tl.program_id(2).to(tl.int64)
    pixel = (tl.program_id(0) * PIXELS + tl.arange(0, PIXELS))[:, None]
    channel = (tl.program_id(1) * TILE + tl.arange(0, TILE))[None, :]
    sample, position = pixel // (HEIGHT * WIDTH), pixel % (HEIGHT * WIDTH)
    inside = sample < samples
    x = tl.zeros((PIXELS, TILE), tl.float32)
    for start in range(0, FILTERS * KERNEL, SUMMED):
        tap = start + tl.arange(0, SUMMED)
        down = position // WIDTH + TOP - (tap // COLUMNS % ROWS)[None, :]
        across = position % WIDTH + LEFT - (tap % COLUMNS)[None, :]
        row, column = down // DOWN, across // ACROSS
        known = inside & (tap < FILTERS * KERNEL)[None, :] & (down >= 0) & (across >= 0)
        known = known & (down % DOWN == 0) & (across % ACROSS == 0) & (row < OUT_HEIGHT) & (column < OUT_WIDTH)
        offset = (tap // KERNEL)[None, :] * (OUT_HEIGHT * OUT_WIDTH) + row * OUT_WIDTH + column
        start_of = g_ptr + member * g_member + sample.to(tl.int64) * g_sample
        gradient = tl.load(start_of + offset, mask=known, other=0.0)
        of_weight = (tap // KERNEL * (CHANNELS * KERNEL) + tap % KERNEL)[:, None] + channel * KERNEL
        known = (tap < FILTERS * KERNEL)[:, None] & (channel < CHANNELS)
        weight = tl.load(w_ptr + member * w_member + of_weight, mask=known, other=0.0)
        x = tl.dot(gradient, weight, x, input_precision="ieee")
    offset = member * x_member + sample.to(tl.int64) * x_sample + channel * (HEIGHT * WIDTH) + position
    tl.store(x_ptr + offset, x, mask=inside & (channel < CHANNELS))


@triton.jit
def _weight_gradient(x_ptr, g_ptr, partial_ptr, samples, per_row, x_row, x_sample, g_member, g_sample,
                     CHANNELS: tl.constexpr, HEIGHT: tl.constexpr, WIDTH: tl.constexpr, FILTERS: tl.constexpr,
                     ROWS: tl.constexpr, COLUMNS: tl.constexpr, OUT_HEIGHT: tl.constexpr, OUT_WIDTH: tl.constexpr,
                     DOWN: tl.constexpr, ACROSS: tl.constexpr, LEFT: tl.constexpr, TOP: tl.constexpr,
                     TILE: tl.constexpr, TAP_TILE: tl.constexpr, SAMPLES: tl.constexpr,
                     SUMMED: tl.constexpr):  # fmt: skip
    """Program (part of the samples, tile, member): the sum over the pixels of these samples.

    Behind the weights of a filter is its bias, whose input is 1.
    """
    TAPS: tl.constexpr = CHANNELS * ROWS * COLUMNS
    OUT: tl.constexpr = OUT_HEIGHT * OUT_WIDTH
    TAP_TILES: tl.constexpr = (TAPS + TAP_TILE) // TAP_TILE
    part, member = tl.program_id(0), tl.program_id(2).to(tl.int64)
    out = (tl.program_id(1) // TAP_TILES * TILE + tl.arange(0, TILE))[:, None]
    tap = (tl.program_id(1) % TAP_TILES * TAP_TILE + tl.arange(0, TAP_TILE))[None, :]
    total = tl.zeros((TILE, TAP_TILE), tl.float32)
    for start in range(0, SAMPLES * OUT, SUMMED):
        pixel = start + tl.arange(0, SUMMED)
        sample, position = part * SAMPLES + pixel // OUT, pixel % OUT
        inside = (pixel < SAMPLES * OUT) & (sample < samples)
        patch = _patches(x_ptr + member // per_row * x_row, x_sample, sample[:, None], position[:, None], tap,
                         inside[:, None], CHANNELS, HEIGHT, WIDTH, ROWS, COLUMNS, OUT_WIDTH, DOWN, ACROSS, LEFT,
                         TOP)  # fmt: skip
        patch = tl.where(tap == TAPS, 1.0, patch)
        offset = member * g_member + sample.to(tl.int64)[None, :] * g_sample + out * OUT + position[None, :]
        gradient = tl.load(g_ptr + offset, mask=inside[None, :] & (out < FILTERS), other=0.0)
        total = tl.dot(gradient, patch, total, input_precision="ieee")
    row = member * tl.num_programs(0) + part
    offset = row * (FILTERS * (TAPS + 1)) + out * (TAPS + 1) + tap
    tl.store(partial_ptr + offset, total, mask=(out < FILTERS) & (tap <= TAPS))


@triton.jit
def _add_parts(partial_ptr, w_ptr, b_ptr, PARTS: tl.constexpr, FILTERS: tl.constexpr, TAPS: tl.constexpr,
               ELEMENTS: tl.constexpr):  # fmt: skip
    """Program (elements, member): the partial sums in their order, split into weights and biases."""
    element, member = tl.program_id(0) * ELEMENTS + tl.arange(0, ELEMENTS), tl.program_id(1).to(tl.int64)
    inside = element < FILTERS * (TAPS + 1)
    total = tl.zeros((ELEMENTS,), tl.float32)
    for part in range(PARTS):
        row = member * PARTS + part
        total += tl.load(partial_ptr + row * (FILTERS * (TAPS + 1)) + element, mask=inside, other=0.0)
    out, tap = element // (TAPS + 1), element % (TAPS + 1)
    tl.store(w_ptr + (member * FILTERS + out) * TAPS + tap, total, mask=inside & (tap < TAPS))
    tl.store(b_ptr + member * FILTERS + out, total, mask=inside & (tap == TAPS))
