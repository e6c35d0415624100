"""Reference of Adam's update (Kingma and Ba 2015, algorithm 1) with weight decay for all members, in plain torch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from walking_noise.training.adam.stacked_parameter import BETAS, EPS, StackedParameter


class ReferenceUpdate:
    """The update with which those of CPUs and GPUs are compared; it records finite weights as that of a GPU does."""

    def __init__(self, stacked: Sequence[StackedParameter], decay_factor: Tensor | None = None) -> None:
        self.stacked, self.decay_factor = stacked, decay_factor
        self.finite = torch.ones(len(stacked[0].parameter), dtype=torch.int32, device=stacked[0].parameter.device)

    def __call__(self, gradients: Sequence[Tensor | None], rate: Tensor, step: Tensor) -> None:
        correction1, correction2 = (1 - beta ** step.double() for beta in BETAS)
        for one, gradient in zip(self.stacked, gradients, strict=True):
            if gradient is None:
                continue
            dtype, per_member = gradient.dtype, (-1, *(1,) * (one.parameter.dim() - 1))
            if self.decay_factor is not None:
                one.parameter.mul_(self.decay_factor.view(per_member))
            one.first_moment.lerp_(gradient, 1 - BETAS[0])
            one.second_moment.mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
            denominator = one.second_moment.sqrt().div_(correction2.sqrt().to(dtype)).add_(EPS)
            one.parameter.sub_((rate / correction1).to(dtype) * one.first_moment / denominator)
            if one.bound is not None:
                bound = one.bound.view(per_member)
                one.parameter.clamp_(-bound, bound)
            self.finite.mul_(one.parameter.isfinite().flatten(1).all(1))
