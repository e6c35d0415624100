"""Consecutive layers on the images of one member as one pass: [BatchNorm] [noise] ReLU [noise] [2×2 max-pooling].

All functions take images ``(B, C, H, W)`` in float32 on the CPU; the images of a sample are contiguous in memory.
Without max-pooling the outputs have the shape of the input, with it H and W are halved, rounded down.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from walking_noise.cpu_kernels.library import library
from walking_noise.cpu_kernels.noise_terms import NoiseStruct, NoiseTerms, pointer

SCRATCH_IMAGES = 4
"""Images that a kernel keeps between its passes."""


class _LayersStruct(ctypes.Structure):
    """``Chain`` in :mod:`walking_noise.cpu_kernels.source`."""

    _fields_ = (
        *((name, ctypes.c_ssize_t) for name in ("samples", "channels", "height", "width")),
        *((name, ctypes.c_ssize_t) for name in ("x_stride", "gradient_stride")),
        *((name, ctypes.c_void_p) for name in ("mean", "scale", "bias")),
        ("before_relu", NoiseStruct),
        ("after_relu", NoiseStruct),
        ("pools", ctypes.c_int32),
    )


@dataclass(frozen=True)
class ImageLayers:
    """The layers of one member and their noise.

    Attributes
    ----------
    normalisation
        Mean, scale and bias of each channel, ``(C,)`` and contiguous: ``(x - mean)·scale + bias``; None without it.
    before_relu, after_relu
        Noise at the noise points between the layers, for draws ``(B, C, H, W)``; None without it.
    pools
        Whether there is max-pooling. W is even then; the last row of an odd H is dropped.
    """

    normalisation: tuple[Tensor, Tensor, Tensor] | None
    before_relu: NoiseTerms | None
    after_relu: NoiseTerms | None
    pools: bool

    def forward(self, x: Tensor, out: Tensor, positions: Tensor | None) -> None:
        """Write the outputs to ``out``, and the position of each maximum, uint8, to ``positions`` for the gradient."""
        self._call("chain_forward", x, x, x, out, positions, _scratch(x))

    def gradient(self, x: Tensor, gradient: Tensor, positions: Tensor | None, out: Tensor) -> tuple[Tensor, Tensor]:
        """Write the gradient at the output of the normalisation to ``out``, of the shape of x.

        Returns its sums over the samples and those of its product with ``x - mean``, ``(C, H, W)``; unset without a
        normalisation.
        """
        sums, products = x.new_empty(2, *x.shape[1:]).unbind()
        self._call("chain_gradient", x, out, x, gradient, positions, out, sums, products, _scratch(x))
        return sums, products

    def normalisation_gradient(self, x: Tensor, slope: Tensor, shift: Tensor, gradient: Tensor) -> None:
        """Replace the gradient g by that of x, ``((x - mean)·slope + g - shift)·scale``, with ``(C,)`` vectors."""
        self._call("normalisation_gradient", x, gradient, x, slope, shift, gradient)

    def for_gradient(self) -> ImageLayers:
        """The same layers, without draws that no gradient needs."""
        return replace(self, after_relu=None if self.after_relu is None else self.after_relu.for_gradient())

    def _call(self, kernel: str, x: Tensor, strided: Tensor, *tensors: Tensor | None) -> None:
        normalisation = [None, None, None] if self.normalisation is None else map(pointer, self.normalisation)
        noises = (noise.struct() if noise else NoiseStruct() for noise in (self.before_relu, self.after_relu))
        if (self.pools and x.shape[-1] % 2) or x.dtype != torch.float32:
            raise ValueError(f"kernels need float32, and pooling an even width, not {tuple(x.shape)} in {x.dtype}")
        struct = _LayersStruct(*x.shape, x.stride(0), strided.stride(0), *normalisation, *noises, self.pools)
        _kernels()[kernel](ctypes.byref(struct), *(None if one is None else pointer(one) for one in tensors))


def deviation_sums(x: Tensor) -> tuple[Tensor, Tensor]:
    """The sums over the samples of ``x - x[0]`` and of its square, ``(C, H, W)``; in the order of the samples."""
    sums, squares = x.new_empty(2, *x.shape[1:]).unbind()
    sizes = (x.stride(0), len(x), x[0].numel())
    _kernels()["deviation_sums"](
        pointer(x), *(ctypes.c_ssize_t(size) for size in sizes), pointer(sums), pointer(squares)
    )
    return sums, squares


def _scratch(x: Tensor) -> Tensor:
    return x.new_empty(SCRATCH_IMAGES, *x.shape[2:])


def _kernels() -> Any:
    kernels = library()
    assert kernels is not None
    return kernels
