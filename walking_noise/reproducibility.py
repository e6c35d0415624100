"""Reproducibility: random streams keyed by the seed of a run, and deterministic settings of torch.

The key of a random stream is computed from the seed of the run, the name of the stream, and numbers that identify the
point of use (epoch, step, noise point, block of samples). Therefore no stream depends on the number of runs that train
together or on earlier draws.
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
    """Apply the finaliser of SplitMix64 (Steele, Lea and Flood 2014), a bijection of 64-bit numbers."""
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)


@lru_cache(maxsize=4096)
def _root(seed: int, stream: str) -> int:
    """The 64-bit key of ``(seed, stream)``, from which the keys with numbers are derived."""
    return _mix((_mix((seed + 0x9E3779B97F4A7C15) & _MASK) ^ zlib.crc32(stream.encode())) & _MASK)


def stream_key(seed: int, stream: str, *numbers: int) -> int:
    """The 64-bit key of the random stream ``(seed, stream, numbers)``."""
    state = _root(seed, stream)
    for number in numbers:
        state = _mix((state + 0x9E3779B97F4A7C15 * (number + 1)) & _MASK)
    return state


def stream_generator(seed: int, stream: str, *numbers: int) -> torch.Generator:
    """A CPU generator at the start of the random stream ``(seed, stream, numbers)``.

    torch's CPU generator uses only the lower 32 bits of the key. Therefore, among the half million streams of a long
    run, about thirty pairs are equal by chance; the two streams of a pair are used far apart in the run.
    """
    return torch.Generator().manual_seed(stream_key(seed, stream, *numbers))


@contextmanager
def deterministic() -> Iterator[None]:
    """Make torch deterministic within the block, and restore the previous settings at its end.

    - The CPU uses one thread, since the order of its sums depends on the number of threads.
    - float32 operations are computed in float32, without reduced precision.
    - cuDNN uses its deterministic convolutions only.
    """
    threads, previous = torch.get_num_threads(), (cudnn.enabled, cudnn.benchmark, cudnn.deterministic)
    torch.set_num_threads(1)
    cudnn.enabled, cudnn.benchmark, cudnn.deterministic = True, False, True
    try:
        with _full_precision():
            yield
    finally:
        cudnn.enabled, cudnn.benchmark, cudnn.deterministic = previous
        torch.set_num_threads(threads)


@contextmanager
def _full_precision() -> Iterator[None]:
    """Disable TensorFloat-32, which torch allows in convolutions by default, and bfloat16 in place of float32.

    They round mantissas to 10 and 7 bits, so that low noise levels would vanish. torch has an older and a newer setting
    for the same precision and raises an error where the two disagree, so both are set. The older ones cannot be read
    if the caller has set only the newer ones.
    """
    gpu, cpu = torch.backends.cuda.matmul, torch.backends.mkldnn
    operations: list[Any] = [gpu, cudnn.conv, cudnn.rnn, cpu.matmul, cpu.conv, cpu.rnn]  # type: ignore[attr-defined]
    precisions = [operation.fp32_precision for operation in operations]
    matmul_precision, convolutions_allow_tf32 = _older_settings()
    torch.set_float32_matmul_precision("highest")
    cudnn.allow_tf32 = False
    for operation in operations:
        operation.fp32_precision = "ieee"
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(matmul_precision)
        cudnn.allow_tf32 = convolutions_allow_tf32
        for operation, precision in zip(operations, precisions, strict=True):
            operation.fp32_precision = precision


def _older_settings() -> tuple[str, bool]:
    """The older settings: precision of matrix products, and whether convolutions may use TensorFloat-32.

    A setting that cannot be read is replaced by torch's default.
    """
    try:
        matmul_precision = torch.get_float32_matmul_precision()
    except RuntimeError:
        matmul_precision = "highest"
    try:
        return matmul_precision, cudnn.allow_tf32
    except RuntimeError:
        return matmul_precision, True
