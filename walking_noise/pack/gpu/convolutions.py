"""Convolutions of a pack on a GPU: the alternatives ``grouped``, ``unfold`` and ``triton``.

Each takes inputs ``(rows, B, C, height, width)``, weights ``(K, filters, C, height, width)``, biases ``(K, filters)``,
the stride, and the padding ``(left, right, top, bottom)``. Each row is the input of K / rows consecutive members. The
result ``(K, B, filters, height, width)`` has the memory layout of ``(B, K, …)``, which BatchNorm and pooling read.

In the Triton kernels the numbers of a member do not depend on K. cuDNN and cuBLAS do not promise that: they may select
another algorithm for another K.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from walking_noise.pack.stacking import merge_members, split_members

Pair = tuple[int, int]
Edges = tuple[int, int, int, int]
"""Rows and columns of zeros around an image: left, right, top, bottom."""


def convolve(alternative: str, x: Tensor, weight: Tensor, bias: Tensor, stride: Pair, padding: Edges) -> Tensor:
    """The convolution by one of the alternatives."""
    if alternative == "grouped":
        return _grouped(x, weight, bias, stride, padding)
    if alternative == "unfold":
        return _unfolded(x, weight, bias, stride, padding)
    from walking_noise.pack.gpu import triton_convolution

    return triton_convolution.convolve(x, weight, bias, stride, padding)


def padded_edges(padding: str | int | Pair, kernel: Pair) -> Edges:
    """The padding of ``nn.Conv2d`` at each edge. ``"same"`` puts the odd zero behind the image, as torch does."""
    if padding == "valid":
        return 0, 0, 0, 0
    if isinstance(padding, str):
        height, width = (size - 1 for size in kernel)
        return width // 2, width - width // 2, height // 2, height - height // 2
    height, width = (padding, padding) if isinstance(padding, int) else padding
    return width, width, height, height


def output_size(image: Pair, kernel: Pair, stride: Pair, padding: Edges) -> Pair:
    """Height and width of the output."""
    height, width = image[0] + padding[2] + padding[3], image[1] + padding[0] + padding[1]
    return (height - kernel[0]) // stride[0] + 1, (width - kernel[1]) // stride[1] + 1


def _grouped(x: Tensor, weight: Tensor, bias: Tensor, stride: Pair, padding: Edges) -> Tensor:
    """A grouped convolution of cuDNN; a row that several members share is one group with the filters of all of them."""
    left, right, top, bottom = padding
    images = merge_members(x)
    if (left, top) == (right, bottom):
        y = F.conv2d(images, weight.flatten(0, 1), bias.flatten(), stride, (top, left), groups=len(x))
    else:
        y = F.conv2d(F.pad(images, padding), weight.flatten(0, 1), bias.flatten(), stride, groups=len(x))
    return split_members(y, len(weight))


def _unfolded(x: Tensor, weight: Tensor, bias: Tensor, stride: Pair, padding: Edges) -> Tensor:
    """All patches of the images as columns (im2col), and a batched matrix product with the filters."""
    rows, samples = x.shape[:2]
    members, filters = weight.shape[:2]
    images, kernel = F.pad(x.flatten(0, 1), padding), (weight.shape[3], weight.shape[4])
    size = output_size((images.shape[2], images.shape[3]), kernel, stride, (0, 0, 0, 0))
    patches = F.unfold(images, kernel, stride=stride).unflatten(0, (rows, samples)).transpose(1, 2).flatten(2)
    y = torch.baddbmm(bias.view(rows, -1, 1), weight.reshape(rows, members // rows * filters, -1), patches)
    y = y.view(members, filters, samples, *size).permute(2, 0, 1, 3, 4).contiguous()
    return y.transpose(0, 1)
