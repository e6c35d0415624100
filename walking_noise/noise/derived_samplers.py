"""Samplers that use other samplers: noise in units, noise that is drawn once per chip, the mean of executions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from walking_noise.noise.audit import Audit
from walking_noise.noise.level_units import level_units
from walking_noise.noise.member_noise import InjectMembers, MemberNoise, StepIndex


class Sampler(Protocol):
    """Sampler of the noise of some members of a pack."""

    @property
    def capturable(self) -> bool: ...

    def at(self, step: StepIndex) -> InjectMembers: ...


class NoiseInUnits:
    """Added noise whose level is relative to the values that it is added to: ``y = x + s·unit(x)·e``.

    ``samplers`` draw the noise ``s·e`` of ``at_point``, so an audit measures the relative level s.
    """

    def __init__(self, at_point: Sequence[Sequence[MemberNoise]], samplers: Sequence[Sampler]) -> None:
        self._at_point, self._samplers = at_point, samplers
        self.capturable = all(sampler.capturable for sampler in samplers)

    def at(self, step: StepIndex) -> InjectMembers:
        drawing = [sampler.at(step) for sampler in self._samplers]

        def inject(point: int, x: Tensor, first: int, audit: Audit | None) -> Tensor:
            chosen = [noise for noise in self._at_point[point] if first <= noise.member < first + len(x)]
            if not chosen:
                return x
            drawn = torch.zeros(x.shape, dtype=x.dtype, device=x.device)
            for draw in drawing:
                drawn = draw(point, drawn, first, audit)
            y: Tensor = _Add.apply(x, drawn, _by_unit(chosen, first))  # type: ignore[no-untyped-call]
            return y

        return inject


def _by_unit(noises: Sequence[MemberNoise], first: int) -> dict[tuple[str, bool], list[int]]:
    """The rows of members, counted from ``first``, by the unit of their level."""
    rows: dict[tuple[str, bool], list[int]] = {}
    for noise in noises:
        rows.setdefault((noise.unit, noise.per_channel), []).append(noise.member - first)
    return rows


class _Add(torch.autograd.Function):
    """Addition of noise in the units of the values; the gradient passes unchanged."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, drawn: Tensor, by_unit: Mapping[tuple[str, bool], list[int]]) -> Tensor:
        if list(map(len, by_unit.values())) == [len(x)]:
            (unit,) = by_unit
            return drawn.mul_(level_units(x, *unit)).add_(x)
        y = x.clone()
        for unit, rows in by_unit.items():
            y[rows] = x[rows] + drawn[rows] * level_units(x[rows], *unit)
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return gradients[0], None, None


class NoiseOfChips:
    """Noise with the same draws at every step, in training and at inference: the errors of one manufactured chip."""

    def __init__(self, sampler: Sampler) -> None:
        self._sampler = sampler
        self.capturable = sampler.capturable

    def at(self, step: StepIndex) -> InjectMembers:
        return self._sampler.at((0,))


class MeanOfExecutions:
    """Mean of several executions of a noisy layer; ``executions`` has the samplers of each. For inference only."""

    def __init__(self, executions: Sequence[Sequence[Sampler]]) -> None:
        self._executions = executions
        self.capturable = all(sampler.capturable for samplers in executions for sampler in samplers)

    def at(self, step: StepIndex) -> InjectMembers:
        executions = [[sampler.at(step) for sampler in samplers] for samplers in self._executions]

        def inject(point: int, x: Tensor, first: int, audit: Audit | None) -> Tensor:
            total: Tensor | None = None
            for samplers in executions:
                y = x
                for draw in samplers:
                    y = draw(point, y, first, audit)
                if y is x:
                    return x
                total = y.double() if total is None else total.add_(y)
            assert total is not None
            return (total / len(executions)).to(x.dtype)  # exactly x for members without noise

        return inject
