"""The same numbers whenever and wherever a network is computed on the same kind of device."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.backends import cudnn


@contextmanager
def reproducibly() -> Iterator[None]:
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
