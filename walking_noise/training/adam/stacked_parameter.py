"""Parameter of all members of a pack with Adam's moments, and the constants of Adam (Kingma and Ba 2015)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

BETAS = (0.9, 0.999)
EPS = 1e-8


@dataclass(frozen=True)
class StackedParameter:
    """A parameter of all members of a pack, with Adam's moments. All tensors are contiguous.

    Attributes
    ----------
    parameter, first_moment, second_moment
        ``(K, …)``.
    bound
        ``(K,)``: each member's values are clamped to [-bound, bound] after every step (Walking Noise, section 4);
        infinite for a member that is not clamped. None if no member is clamped.
    """

    parameter: Tensor
    first_moment: Tensor
    second_moment: Tensor
    bound: Tensor | None = None

    @classmethod
    def initial(cls, parameter: Tensor, bound: Tensor | None = None) -> StackedParameter:
        """The parameter at the start of a training, with moments of zero."""
        return cls(parameter.detach(), torch.zeros_like(parameter), torch.zeros_like(parameter), bound)
