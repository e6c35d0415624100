"""Noise of one member at one noise point with its draws, and its application to activations and gradients."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from walking_noise.cpu_kernels.library import library


class NoiseStruct(ctypes.Structure):
    """``Noise`` in :mod:`walking_noise.cpu_kernels.source`; all zero: no noise."""

    _fields_ = (
        ("factor_draws", ctypes.c_void_p),
        ("added_draws", ctypes.c_void_p),
        ("mul", ctypes.c_float),
        ("add", ctypes.c_float),
        ("add_first", ctypes.c_int32),
        ("exact_gradient", ctypes.c_int32),
    )


@dataclass(frozen=True)
class NoiseTerms:
    """Noise of one member: ``x·(1 + mul·e1) + add·e2``, or ``(x + add·e2)·(1 + mul·e1)`` if added first.

    Attributes
    ----------
    factor_draws, added_draws
        The draws e1 and e2 of standard deviation 1, float32 ``(B, …)``, contiguous; None without the term. Members
        share them if their draws are equal.
    mul, add
        The levels.
    exact_gradient
        Whether the gradient is multiplied by the factor; otherwise it passes unchanged (straight-through).
    """

    factor_draws: Tensor | None
    added_draws: Tensor | None
    mul: float
    add: float
    add_first: bool
    exact_gradient: bool

    @property
    def deviation(self) -> Tensor | None:
        """The factor's deviation from 1, ``mul·e1``."""
        return None if self.factor_draws is None else self.factor_draws * self.mul

    @property
    def added(self) -> Tensor | None:
        """The added term, ``add·e2``."""
        return None if self.added_draws is None else self.added_draws * self.add

    def for_gradient(self) -> NoiseTerms:
        """The same noise, without draws that its gradient does not need."""
        return replace(self, factor_draws=self.factor_draws if self.exact_gradient else None, added_draws=None)

    def struct(self) -> NoiseStruct:
        """The arguments of a kernel, valid as long as the draws exist."""
        return NoiseStruct(
            *(None if draws is None else draws.data_ptr() for draws in (self.factor_draws, self.added_draws)),
            self.mul,
            self.add,
            self.add_first,
            self.exact_gradient,
        )

    def apply(self, x: Tensor, out: Tensor) -> None:
        """Write the noisy activations for ``x`` ``(B, …)`` to ``out``. Every operation is rounded by itself."""
        if self._compiled(x, out, gradient=False):
            return
        deviation, added = self.deviation, self.added
        if deviation is None:
            assert added is not None
            torch.add(x, added, out=out)
        elif added is None:
            torch.mul(x, deviation.add_(1.0), out=out)
        elif self.add_first:
            torch.add(x, added, out=out).mul_(deviation.add_(1.0))
        else:
            torch.mul(x, deviation.add_(1.0), out=out).add_(added)

    def apply_to_gradient(self, gradient: Tensor, out: Tensor) -> None:
        """Write the gradient of the input for the ``gradient`` ``(B, …)`` of the output to ``out``."""
        if self._compiled(gradient, out, gradient=True):
            return
        deviation = self.deviation if self.exact_gradient else None
        if deviation is None:
            out.copy_(gradient)
        else:
            torch.mul(gradient, deviation.add_(1.0), out=out)

    def _compiled(self, x: Tensor, out: Tensor, *, gradient: bool) -> bool:
        """Call the kernel of noise if it is compiled and fits these tensors; return whether it was called."""
        alone = MemberNoises([0], [self])
        return alone.apply(x.unsqueeze(0), out.unsqueeze(0), self.factor_draws, self.added_draws, gradient=gradient)


class MemberNoises:
    """Noise of several members that share their draws, applied to the rows of one tensor by a single call.

    Not for several threads at once: the arguments of the kernel are kept between calls.
    """

    def __init__(self, rows: Sequence[int], noises: Sequence[NoiseTerms]) -> None:
        self._rows = (ctypes.c_ssize_t * len(rows))(*rows)
        self._noises = (NoiseStruct * len(noises))(*(noise.struct() for noise in noises))

    def apply(
        self, x: Tensor, out: Tensor, factor_draws: Tensor | None, added_draws: Tensor | None, *, gradient: bool = False
    ) -> bool:
        """Write the noisy activations, or the gradients, of these rows of ``x`` ``(K, B, …)`` to ``out``.

        Returns False, with nothing written, if it must be done member by member: without kernels or for other tensors.
        """
        if not (computes_on(x[0]) and computes_on(out[0])):
            return False
        kernels = library()
        if kernels is None:
            return False
        for noise in self._noises:
            noise.factor_draws = None if factor_draws is None else factor_draws.data_ptr()
            noise.added_draws = None if added_draws is None else added_draws.data_ptr()
        sizes = [x.shape[1], x[0, 0].numel(), x.stride(0), out.stride(0), x.stride(1), out.stride(1)]
        if x[0].is_contiguous() and out[0].is_contiguous():
            sizes[:2] = 1, sizes[0] * sizes[1]
        kernels.inject_members(
            self._noises,
            self._rows,
            ctypes.c_ssize_t(len(self._rows)),
            pointer(x),
            pointer(out),
            *map(ctypes.c_ssize_t, sizes),
            ctypes.c_int32(gradient),
        )
        return True


def computes_on(x: Tensor) -> bool:
    """Whether kernels compute on the tensor ``(B, …)``: float32 in the memory of the CPU, each sample contiguous."""
    return x.device.type == "cpu" and x.dtype == torch.float32 and len(x) > 0 and x[0].is_contiguous()


def pointer(tensor: Tensor) -> ctypes.c_void_p:
    """The address of the first element, as an argument of a kernel."""
    return ctypes.c_void_p(tensor.data_ptr())
