"""Units of noise levels: statistics of the weights or activations that the noise is added to."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

UNITS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "rms": lambda rows: rows.square().mean(1).sqrt(),
    "absmax": lambda rows: rows.abs().amax(1),
    "range": lambda rows: rows.amax(1) - rows.amin(1),
}
"""The unit of each row of values ``(rows, n)``, by the value of ``noise.unit``."""


@torch.no_grad()
def level_unit(x: Tensor, unit: str, per_channel: bool = False) -> Tensor:
    """The unit of the level for the values of one member ``(B, …)``, a tensor that can be multiplied with them.

    It is one number for all values, or with ``per_channel`` one for each index of the second dimension. No gradient
    passes through it.
    """
    x = x.contiguous()  # sums of members in other packs are rounded alike
    if not per_channel:
        return UNITS[unit](x.view(1, -1)).view([1] * x.dim())
    channels = x.transpose(0, 1).flatten(1)
    return UNITS[unit](channels).view(1, -1, *[1] * (x.dim() - 2))
