"""Units of noise levels: statistics of the weights or activations that the noise is added to."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

UNITS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "rms": lambda rows: torch.stack([row.square().mean(-1) for row in rows]).sqrt(),  # each member's sum by itself
    "absmax": lambda rows: rows.abs().amax(-1),
    "range": lambda rows: rows.amax(-1) - rows.amin(-1),
}
"""The unit of the last dimension of values ``(k, …, n)`` of k members, by the value of ``noise.unit``."""


@torch.no_grad()
def level_units(x: Tensor, unit: str, per_channel: bool = False) -> Tensor:
    """The unit of the level for the values of each member ``(k, B, …)``, a tensor that can be multiplied with them.

    It is one number for all values of a member, or with ``per_channel`` one for each index of the third dimension. No
    gradient passes through it.
    """
    channels = x.shape[2] if per_channel else 1
    values = x.transpose(1, 2).flatten(2) if per_channel else x.flatten(1).unsqueeze(1)
    return UNITS[unit](values.contiguous()).view(len(x), 1, channels, *[1] * (x.dim() - 3))
