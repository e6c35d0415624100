"""The same numbers whenever and wherever a network is computed on the same kind of device."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def reproducibly() -> Iterator[None]:
    """One thread on the CPU, since the order of its sums depends on their number; no shortcuts of a GPU's convolutions.

    TensorFloat-32, which torch allows in convolutions by default, rounds to 10 bits: low noise levels would vanish.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
            yield
    finally:
        torch.set_num_threads(threads)
