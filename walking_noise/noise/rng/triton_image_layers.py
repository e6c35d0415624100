"""Triton kernels of [BatchNorm] noise ReLU noise 2×2 max-pooling in training, for all members of a pack.

Imported on a GPU only. The forward pass reads the images twice for the statistics of BatchNorm and once for all other
layers, and writes the pooled images only. The noise at an element is bitwise that of
:mod:`walking_noise.noise.rng.triton_kernels`: a program draws it for both rows of a pooling window, from the group of
four elements that each pair belongs to. A group is drawn for both of its pairs, and members do not share draws. Order
and size of all sums depend on the shape of one member only. Their speed has not been measured.
"""
# mypy: disable-error-code="import-untyped, untyped-decorator, no-untyped-def"

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from walking_noise.models.noise_points import Normalisation
from walking_noise.noise.rng.point_noise import PointNoise
from walking_noise.noise.rng.triton_kernels import _box_muller, _philox
from walking_noise.pack.stacking import empty_side_by_side

WINDOWS = 256
"""Pooling windows that one program computes."""
SUMMED = 1024
"""Elements of a channel that are added up at once."""

Noise = tuple[PointNoise, PointNoise | None]
"""The noise of all members at a noise point, and the factors of the gradient."""


def image_layers(
    x: Tensor, noises: tuple[Noise | None, Noise | None], step: Tensor | None, norm: Normalisation | None
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """The pooled images ``(K, B, C, height / 2, width / 2)``, and mean and variance of the channels ``(K, C)``.

    Parameters
    ----------
    x
        Images ``(K, B, C, height, width)`` in float32, of even height and width.
    noises
        The noise before the ReLU and after it; None without noise at this point.
    step
        See :func:`walking_noise.noise.rng.triton_kernels.inject_noise`; None if there is no noise.
    norm
        Weight, bias and epsilon of the BatchNorm; None without it.
    """
    weight, bias, eps = norm or (None, None, 0.0)
    y, mean, var = _ImageLayers.apply(x, weight, bias, eps, noises, step)  # type: ignore[no-untyped-call]
    return y, mean, var


class _ImageLayers(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float, noises: Any, step: Tensor | None
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        x = x if x[0, 0].is_contiguous() else x.contiguous()
        members, samples, channels, height, width = x.shape
        shape = {"CHANNELS": channels, "HEIGHT": height, "WIDTH": width}
        y, slope, position = (
            empty_side_by_side(x, members, channels, height // 2, width // 2, dtype=dtype)
            for dtype in (x.dtype, x.dtype, torch.uint8)
        )
        mean = var = inverse = scale = None
        with torch.cuda.device_of(x):
            if weight is not None and bias is not None:
                mean, var = x.new_empty(2, members, channels).unbind(0)
                _statistics[channels, members](
                    x, mean, var, *x.stride()[:2], **shape, SAMPLES=samples, SUMMED=SUMMED, enable_fp_fusion=False
                )
                inverse = (var + eps).rsqrt()
                scale, bias = weight * inverse, bias.contiguous()
            vectors = [vector for noise in noises for vector in _vectors(noise)]
            _forward[triton.cdiv(y[0].numel(), WINDOWS), members](
                x, y, slope, position, mean, scale, bias, *vectors, step,
                *(2 * noise[0].point if noise else 0 for noise in noises), samples, *x.stride()[:2], *y.stride()[:2],
                **shape, NUMBERS=1 if step is None else len(step), WINDOWS=WINDOWS, enable_fp_fusion=False,
            )  # fmt: skip
        ctx.save_for_backward(x, slope, position, mean, scale, inverse)
        ctx.shape = shape
        if mean is not None and var is not None:
            ctx.mark_non_differentiable(mean, var)
        return y, mean, var

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, slope, position, mean, scale, inverse = ctx.saved_tensors
        gradient = gradients[0]
        if gradient.stride() != slope.stride():
            gradient = torch.empty_like(slope).copy_(gradient)
        members, samples, channels, height, width = x.shape
        result = empty_side_by_side(x, members, channels, height, width)
        along = shift = weight_gradient = bias_gradient = None
        with torch.cuda.device_of(x):
            if mean is not None:
                bias_gradient, products = x.new_empty(2, members, channels).unbind(0)
                _gradient_sums[channels, members](
                    x, gradient, slope, position, mean, bias_gradient, products, *x.stride()[:2], *slope.stride()[:2],
                    **ctx.shape, SAMPLES=samples, SUMMED=SUMMED, enable_fp_fusion=False,
                )  # fmt: skip
                values = samples * height * width
                weight_gradient, shift = products * inverse, bias_gradient / values
                along = -products * inverse.square() / values
            _input_gradient[triton.cdiv(slope[0].numel(), WINDOWS), members](
                x, gradient, slope, position, mean, along, shift, scale, result, samples, *x.stride()[:2],
                *slope.stride()[:2], *result.stride()[:2], **ctx.shape, WINDOWS=WINDOWS, enable_fp_fusion=False,
            )  # fmt: skip
        return result, weight_gradient, bias_gradient, None, None, None


def _vectors(noise: Noise | None) -> list[Tensor | None]:
    """What a kernel reads of the noise at a point: keys, levels, order, and the factor of the gradient."""
    if noise is None:
        return [None] * 5
    drawn, gradient = noise
    return [drawn.keys, drawn.mul, drawn.add, drawn.add_first, None if gradient is None else gradient.mul]


@triton.jit
def _statistics(x_ptr, mean_ptr, var_ptr, x_member, x_sample, CHANNELS: tl.constexpr, HEIGHT: tl.constexpr,
                WIDTH: tl.constexpr, SAMPLES: tl.constexpr, SUMMED: tl.constexpr):  # fmt: skip
    """Program (channel, member): mean and biased variance of the channel."""
    PIXELS: tl.constexpr = HEIGHT * WIDTH
    channel, member = tl.program_id(0), tl.program_id(1).to(tl.int64)
    start_of = x_ptr + member * x_member + channel * PIXELS
    sums = tl.zeros((SUMMED,), tl.float32)
    for start in range(0, SAMPLES * PIXELS, SUMMED):
        i = start + tl.arange(0, SUMMED)
        inside = i < SAMPLES * PIXELS
        sums += tl.load(start_of + (i // PIXELS).to(tl.int64) * x_sample + i % PIXELS, mask=inside, other=0.0)
    mean = tl.sum(sums) / (SAMPLES * PIXELS)
    squares = tl.zeros((SUMMED,), tl.float32)
    for start in range(0, SAMPLES * PIXELS, SUMMED):
        i = start + tl.arange(0, SUMMED)
        inside = i < SAMPLES * PIXELS
        x = tl.load(start_of + (i // PIXELS).to(tl.int64) * x_sample + i % PIXELS, mask=inside, other=0.0)
        deviation = tl.where(inside, x - mean, 0.0)
        squares += deviation * deviation
    tl.store(mean_ptr + member * CHANNELS + channel, mean)
    tl.store(var_ptr + member * CHANNELS + channel, tl.sum(squares) / (SAMPLES * PIXELS))


@triton.jit
def _window(window, CHANNELS: tl.constexpr, HEIGHT: tl.constexpr, WIDTH: tl.constexpr):
    """Sample and channel of a pooling window, and the first of its elements within the sample."""
    PARTS: tl.constexpr = HEIGHT // 2 * (WIDTH // 2)
    channel, part = window // PARTS % CHANNELS, window % PARTS
    element = channel * (HEIGHT * WIDTH) + part // (WIDTH // 2) * (2 * WIDTH) + part % (WIDTH // 2) * 2
    return window // (PARTS * CHANNELS), channel, element


@triton.jit
def _draw_pair(element, term, c2, c3, key):
    """The standard normal numbers of an even element and of the next one; both are in one group of four."""
    k0, k1 = key.to(tl.uint32), (key >> 32).to(tl.uint32)
    r0, r1, r2, r3 = _philox((element // 4).to(tl.uint32), term.to(tl.uint32), c2, c3, k0, k1)
    later = element % 4 == 2
    return _box_muller(tl.where(later, r2, r0), tl.where(later, r3, r1))


@triton.jit
def _with_noise(x, e1, e2, mul, add, add_first):
    """Both terms of the noise, as :func:`walking_noise.noise.rng.triton_kernels.inject_noise` applies them."""
    deviation, added = mul * e1, add * e2
    y = tl.where((add > 0) & (add_first > 0), x + added, x)
    y = tl.where(mul > 0, y * (1.0 + deviation), y)
    return tl.where((add > 0) & (add_first == 0), y + added, y)


@triton.jit
def _noisy_pair(x0, x1, s0, s1, element, term, c2, c3, member, key_ptr, mul_ptr, add_ptr, first_ptr, factor_ptr):
    """A pair of elements with the noise of a member, and their slopes s0 and s1 times those of the noise."""
    if key_ptr is not None:
        key, mul, add = tl.load(key_ptr + member), tl.load(mul_ptr + member), tl.load(add_ptr + member)
        e1, f1 = tl.zeros_like(x0), tl.zeros_like(x0)
        e2, f2 = tl.zeros_like(x0), tl.zeros_like(x0)
        if mul > 0:
            e1, f1 = _draw_pair(element, term, c2, c3, key)
        if add > 0:
            e2, f2 = _draw_pair(element, term + 1, c2, c3, key)
        first = tl.load(first_ptr + member)
        x0, x1 = _with_noise(x0, e1, e2, mul, add, first), _with_noise(x1, f1, f2, mul, add, first)
        if factor_ptr is not None:
            factor = tl.load(factor_ptr + member)
            s0 = tl.where(factor > 0, s0 * (1.0 + factor * e1), s0)
            s1 = tl.where(factor > 0, s1 * (1.0 + factor * f1), s1)
    return x0, x1, s0, s1


@triton.jit
def _larger(y, slope, position, x, s, new_position):
    """The larger value with its slope and position; the first of equal ones, and NaN before all others."""
    larger = (x > y) | (x != x)
    return tl.where(larger, x, y), tl.where(larger, s, slope), tl.where(larger, new_position, position)


@triton.jit(do_not_specialize=["term", "later_term"])
def _forward(x_ptr, y_ptr, slope_ptr, position_ptr, mean_ptr, scale_ptr, bias_ptr,
             key_ptr, mul_ptr, add_ptr, first_ptr, factor_ptr,
             later_key_ptr, later_mul_ptr, later_add_ptr, later_first_ptr, later_factor_ptr,
             step_ptr, term, later_term, samples, x_member, x_sample, y_member, y_sample,
             CHANNELS: tl.constexpr, HEIGHT: tl.constexpr, WIDTH: tl.constexpr, NUMBERS: tl.constexpr,
             WINDOWS: tl.constexpr):  # fmt: skip
    """Program (windows, member): pooled values, and the slope and the position of the largest of each window."""
    PARTS: tl.constexpr = HEIGHT // 2 * (WIDTH // 2)
    member, window = tl.program_id(1).to(tl.int64), tl.program_id(0) * WINDOWS + tl.arange(0, WINDOWS)
    sample, channel, element = _window(window, CHANNELS, HEIGHT, WIDTH)
    inside = sample < samples
    c2, c3 = tl.zeros((), tl.uint32), tl.zeros((), tl.uint32)
    if step_ptr is not None:
        c2 = tl.load(step_ptr).to(tl.uint32)
        if NUMBERS == 2:
            c3 = tl.load(step_ptr + 1).to(tl.uint32)
    y, slope = tl.zeros((WINDOWS,), tl.float32), tl.zeros((WINDOWS,), tl.float32)
    position = tl.zeros((WINDOWS,), tl.int32)
    for row in tl.static_range(2):
        start = x_ptr + member * x_member + sample.to(tl.int64) * x_sample + element + row * WIDTH
        x0, x1 = tl.load(start, mask=inside, other=0.0), tl.load(start + 1, mask=inside, other=0.0)
        if mean_ptr is not None:
            of_channel = member * CHANNELS + channel
            mean, scale = tl.load(mean_ptr + of_channel), tl.load(scale_ptr + of_channel)
            bias = tl.load(bias_ptr + of_channel)
            x0, x1 = (x0 - mean) * scale + bias, (x1 - mean) * scale + bias
        counted = sample * (CHANNELS * HEIGHT * WIDTH) + element + row * WIDTH
        s0, s1 = tl.full((WINDOWS,), 1.0, tl.float32), tl.full((WINDOWS,), 1.0, tl.float32)
        x0, x1, s0, s1 = _noisy_pair(x0, x1, s0, s1, counted, term, c2, c3, member,
                                     key_ptr, mul_ptr, add_ptr, first_ptr, factor_ptr)  # fmt: skip
        s0, s1 = tl.where(x0 <= 0, 0.0, s0), tl.where(x1 <= 0, 0.0, s1)
        x0, x1 = tl.where(x0 <= 0, 0.0, x0), tl.where(x1 <= 0, 0.0, x1)
        x0, x1, s0, s1 = _noisy_pair(x0, x1, s0, s1, counted, later_term, c2, c3, member, later_key_ptr,
                                     later_mul_ptr, later_add_ptr, later_first_ptr, later_factor_ptr)  # fmt: skip
        if row == 0:
            y, slope = x0, s0
        else:
            y, slope, position = _larger(y, slope, position, x0, s0, 2)
        y, slope, position = _larger(y, slope, position, x1, s1, 2 * row + 1)
    offset = member * y_member + sample.to(tl.int64) * y_sample + window % (PARTS * CHANNELS)
    tl.store(y_ptr + offset, y, mask=inside)
    tl.store(slope_ptr + offset, slope, mask=inside)
    tl.store(position_ptr + offset, position.to(tl.uint8), mask=inside)


@triton.jit
def _gradient_sums(x_ptr, g_ptr, slope_ptr, position_ptr, mean_ptr, sum_ptr, product_ptr, x_member, x_sample, y_member,
                   y_sample, CHANNELS: tl.constexpr, HEIGHT: tl.constexpr, WIDTH: tl.constexpr, SAMPLES: tl.constexpr,
                   SUMMED: tl.constexpr):  # fmt: skip
    """Program (channel, member): the sums over its windows of the gradient g behind BatchNorm and of g·(x - mean)."""
    PARTS: tl.constexpr = HEIGHT // 2 * (WIDTH // 2)
    channel, member = tl.program_id(0), tl.program_id(1).to(tl.int64)
    mean = tl.load(mean_ptr + member * CHANNELS + channel)
    sums, products = tl.zeros((SUMMED,), tl.float32), tl.zeros((SUMMED,), tl.float32)
    for start in range(0, SAMPLES * PARTS, SUMMED):
        i = start + tl.arange(0, SUMMED)
        inside, sample, part = i < SAMPLES * PARTS, (i // PARTS).to(tl.int64), i % PARTS
        offset = member * y_member + sample * y_sample + channel * PARTS + part
        gradient = tl.load(g_ptr + offset, mask=inside, other=0.0) * tl.load(slope_ptr + offset, mask=inside, other=0.0)
        position = tl.load(position_ptr + offset, mask=inside, other=0).to(tl.int32)
        element = part // (WIDTH // 2) * (2 * WIDTH) + part % (WIDTH // 2) * 2 + position // 2 * WIDTH + position % 2
        start_of = x_ptr + member * x_member + sample * x_sample + channel * (HEIGHT * WIDTH)
        x = tl.load(start_of + element, mask=inside, other=0.0)
        sums += gradient
        products += gradient * tl.where(inside, x - mean, 0.0)
    tl.store(sum_ptr + member * CHANNELS + channel, tl.sum(sums))
    tl.store(product_ptr + member * CHANNELS + channel, tl.sum(products))


@triton.jit
def _input_gradient(x_ptr, g_ptr, slope_ptr, position_ptr, mean_ptr, along_ptr, shift_ptr, scale_ptr, result_ptr,
                    samples, x_member, x_sample, y_member, y_sample, result_member, result_sample,
                    CHANNELS: tl.constexpr, HEIGHT: tl.constexpr, WIDTH: tl.constexpr,
                    WINDOWS: tl.constexpr):  # fmt: skip
    """Program (windows, member): the gradient of all elements of these windows.

    With BatchNorm that is ``((x - mean)·along + g - shift)·scale``.
    """
    PARTS: tl.constexpr = HEIGHT // 2 * (WIDTH // 2)
    member, window = tl.program_id(1).to(tl.int64), tl.program_id(0) * WINDOWS + tl.arange(0, WINDOWS)
    sample, channel, element = _window(window, CHANNELS, HEIGHT, WIDTH)
    inside = sample < samples
    offset = member * y_member + sample.to(tl.int64) * y_sample + window % (PARTS * CHANNELS)
    gradient = tl.load(g_ptr + offset, mask=inside, other=0.0) * tl.load(slope_ptr + offset, mask=inside, other=0.0)
    position = tl.load(position_ptr + offset, mask=inside, other=0).to(tl.int32)
    for i in tl.static_range(4):
        place = element + i // 2 * WIDTH + i % 2
        result = tl.where(position == i, gradient, 0.0)
        if mean_ptr is not None:
            of_channel = member * CHANNELS + channel
            x = tl.load(x_ptr + member * x_member + sample.to(tl.int64) * x_sample + place, mask=inside, other=0.0)
            along, shift = tl.load(along_ptr + of_channel), tl.load(shift_ptr + of_channel)
            centred = x - tl.load(mean_ptr + of_channel)
            result = (centred * along + result - shift) * tl.load(scale_ptr + of_channel)
        target = result_ptr + member * result_member + sample.to(tl.int64) * result_sample + place
        tl.store(target, result, mask=inside)
