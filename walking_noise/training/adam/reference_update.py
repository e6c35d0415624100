"""Reference update rule: one step of Adam (Kingma and Ba 2015, algorithm 1) for all members of a pack, in plain torch.

Each member has its own learning rate and its own step count. After every step its weights may be clamped to a bound
(Walking Noise, section 4).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

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
        ``(K,)``: each member's values are clamped to [-bound, bound]; infinite for a member that is not clamped. None
        if no member is clamped.
    """

    parameter: Tensor
    first_moment: Tensor
    second_moment: Tensor
    bound: Tensor | None = None

    @classmethod
    def initial(cls, parameter: Tensor, bound: Tensor | None = None) -> StackedParameter:
        """The parameter at the start of a training, with moments of zero."""
        return cls(parameter.detach(), torch.zeros_like(parameter), torch.zeros_like(parameter), bound)

    def per_member(self, values: Tensor) -> Tensor:
        """View one number per member ``(K,)`` so that it broadcasts against the parameter."""
        return values.view(-1, *(1,) * (self.parameter.dim() - 1))


class UpdateRule(Protocol):
    """Updates one parameter of all members by one step."""

    def __call__(
        self,
        stacked: StackedParameter,
        gradient: Tensor,
        step_size: Tensor,
        bias_correction2_sqrt: Tensor,
        finite: Tensor,
    ) -> None:
        """Update parameter and moments in place from a contiguous gradient ``(K, …)``.

        Parameters
        ----------
        step_size, bias_correction2_sqrt
            Values ``(K,)`` of :func:`bias_corrections`, in the data type of the parameter.
        finite
            int32 ``(K,)``; set to 0 for a member whose updated parameter is not finite, and left unchanged otherwise.
        """


def bias_corrections(rates: Tensor, steps: Tensor) -> tuple[Tensor, Tensor]:
    """Adam's corrections of the bias of its moments, for float64 learning rates and step counts ``(K,)``.

    Steps are counted from 1.

    Returns
    -------
    step_size
        ``rate / (1 - beta1^step)``.
    bias_correction2_sqrt
        ``sqrt(1 - beta2^step)``.
    """
    return rates / (1 - BETAS[0] ** steps), (1 - BETAS[1] ** steps).sqrt()


def reference_update(
    stacked: StackedParameter, gradient: Tensor, step_size: Tensor, bias_correction2_sqrt: Tensor, finite: Tensor
) -> None:
    """The :class:`UpdateRule` against which every other one is tested."""
    stacked.first_moment.lerp_(gradient, 1 - BETAS[0])
    stacked.second_moment.mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
    denominator = stacked.second_moment.sqrt().div_(stacked.per_member(bias_correction2_sqrt)).add_(EPS)
    stacked.parameter.sub_(stacked.per_member(step_size) * stacked.first_moment / denominator)
    if stacked.bound is not None:
        bound = stacked.per_member(stacked.bound)
        stacked.parameter.clamp_(-bound, bound)
    finite.mul_(stacked.parameter.isfinite().flatten(1).all(1))
