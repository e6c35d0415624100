"""Reproducible numbers: random streams keyed by a run's seed, and deterministic settings of torch.

Every stream is keyed by the run's seed, a name and the numbers that say where in the run it is used (epoch, step, noise
point, block of samples). No stream depends on how many runs train together or on what was drawn before.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import torch
from torch.backends import cudnn

_MASK = (1 << 64) - 1


def _mix(value: int) -> int:
    """The finaliser of SplitMix64 (Steele, Lea and Flood 2014): a bijection of 64-bit numbers."""
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)


@lru_cache(maxsize=4096)
def _root(seed: int, stream: str) -> int:
    return _mix((_mix((seed + 0x9E3779B97F4A7C15) & _MASK) ^ zlib.crc32(stream.encode())) & _MASK)


def key(seed: int, stream: str, *numbers: int) -> int:
    """A 64-bit key of ``(seed, stream, numbers)``."""
    state = _root(seed, stream)
    for number in numbers:
        state = _mix((state + 0x9E3779B97F4A7C15 * (number + 1)) & _MASK)
    return state


def generator(seed: int, stream: str, *numbers: int) -> torch.Generator:
    """A CPU generator at the start of the stream ``(seed, stream, numbers)``.

    torch's CPU generator uses the lower 32 bits of the key. Of the half million streams of a long run some thirty pairs
    are then equal by chance, far apart in the run.
    """
    return torch.Generator().manual_seed(key(seed, stream, *numbers))


@contextmanager
def deterministic() -> Iterator[None]:
    """One thread on the CPU, since the order of its sums depends on their number; float32 is computed in float32.

    Of a GPU's convolutions only the deterministic ones. What was set before is set again at the end.
    """
    threads, chosen = torch.get_num_threads(), (cudnn.enabled, cudnn.benchmark, cudnn.deterministic)
    torch.set_num_threads(1)
    cudnn.enabled, cudnn.benchmark, cudnn.deterministic = True, False, True
    try:
        with _full_precision():
            yield
    finally:
        cudnn.enabled, cudnn.benchmark, cudnn.deterministic = chosen
        torch.set_num_threads(threads)


@contextmanager
def _full_precision() -> Iterator[None]:
    """No TensorFloat-32, which torch allows in convolutions by default, and no bfloat16 in float32's place.

    They round to 10 and 7 bits: low noise levels would vanish. torch has older and newer settings for the same thing
    and computes only where both agree; the older ones cannot be read where a caller used the newer ones alone.
    """
    gpu, cpu = torch.backends.cuda.matmul, torch.backends.mkldnn
    operations: list[Any] = [gpu, cudnn.conv, cudnn.rnn, cpu.matmul, cpu.conv, cpu.rnn]  # type: ignore[attr-defined]
    newer = [operation.fp32_precision for operation in operations]
    products, convolutions = _older_settings()
    torch.set_float32_matmul_precision("highest")
    cudnn.allow_tf32 = False
    for operation in operations:
        operation.fp32_precision = "ieee"
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(products)
        cudnn.allow_tf32 = convolutions
        for operation, precision in zip(operations, newer, strict=True):
            operation.fp32_precision = precision


def _older_settings() -> tuple[str, bool]:
    """Of matrix products and convolutions; torch's defaults where they cannot be read."""
    try:
        products = torch.get_float32_matmul_precision()
    except RuntimeError:
        products = "highest"
    try:
        return products, cudnn.allow_tf32
    except RuntimeError:
        return products, True
