"""Shared prefix: runs on one network share its activations up to the noise point where their noise begins."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor

from walking_noise.config.run_config import RunConfig
from walking_noise.models.noise_points import Inject
from walking_noise.noise.audit import Audit
from walking_noise.noise.injection import Injection
from walking_noise.pack.pack import Pack
from walking_noise.pack.partition import split_evenly
from walking_noise.pack.select_members import must_copy_weights, select_members
from walking_noise.pack.stacking import expand_rows

BLOCK = 250
"""Samples evaluated at once. Another value changes results: the noise at inference is keyed by the sample's block."""

WrapInjection = Callable[[Inject], Inject]
"""Takes the injection of one block of samples, and returns the injection to use in its place."""


class SharedPrefix:
    """Forward pass of runs through their networks, block by block, with each run's noise at inference.

    The noise-free activations of all members are computed from noise point to noise point. The runs that branch off at
    a point continue from there as a group, with their own noise. The parameters are those of
    :func:`walking_noise.evaluation.evaluator.evaluate`. The epoch keys the noise, together with the block.
    """

    def __init__(
        self,
        pack: Pack,
        members: Sequence[int],
        configs: Sequence[RunConfig],
        epoch: int,
        *,
        wrap_injection: WrapInjection,
        audited: bool,
        group_size: int | None,
    ) -> None:
        group = partial(_RunGroup, pack, epoch, wrap_injection, audited)
        self._members = members
        self._branches = {
            branch: group([members[run] for run in branch.runs], [configs[run] for run in branch.runs])
            for branch in branches(members, configs, group_size, pack.latest_split)
        }
        clean = {member: config.without_noise() for member, config in zip(members, configs, strict=True)}
        self._shared = group(list(clean), list(clean.values()))

    @property
    def runs(self) -> list[int]:
        """Indices of the runs, in the order of their branches."""
        return [run for branch in self._branches for run in branch.runs]

    def logits(self, x: Tensor, block: int) -> Iterator[Tensor]:
        """Yield for each branch the logits ``(R, B, classes)`` of its R runs, for samples ``(1, B, …)``."""
        reached = 0
        for branch, group in self._branches.items():
            if branch.point > reached:
                x = self._shared.forward(x, block, reached, branch.point)
                reached = branch.point
            logits = group.forward(self._shared.rows_of(group.members, x), block, reached)
            yield expand_rows(len(branch.runs), logits)

    def audits(self) -> dict[int, dict[str, Any]]:
        """The measured noise and signal of each run.

        At the points before the branch of a run, the signal is that of the shared prefix.
        """
        shared = {member: self._shared.audit.of(row) for row, member in enumerate(self._shared.members)}
        audits: dict[int, dict[str, Any]] = {}
        for branch, group in self._branches.items():
            for row, run in enumerate(branch.runs):
                audits[run] = group.audit.of(row)
                audits[run]["signal"][: branch.point] = shared[self._members[run]]["signal"][: branch.point]
        return audits


class _RunGroup:
    """R runs that pass through the layers together, each with the weights of a member of the pack."""

    def __init__(
        self,
        pack: Pack,
        epoch: int,
        wrap_injection: WrapInjection,
        audited: bool,
        members: Sequence[int],
        configs: Sequence[RunConfig],
    ) -> None:
        self.members, self.epoch, self.wrap_injection, self.audited = members, epoch, wrap_injection, audited
        device = next(pack.parameters()).device
        self.noise = Injection(configs, "inference", device)
        self.audit = Audit(len(configs[0].points), len(configs), device)
        self._pack = pack
        self._selected = None if must_copy_weights(members) else select_members(pack, members)

    def forward(self, x: Tensor, block: int, first: int, last: int | None = None) -> Tensor:
        """Compute the input of noise point ``last`` from the input of noise point ``first``; the logits if it is None.

        Input and output are ``(R, B, …)``, or ``(rows, B, …)`` with fewer rows, see :meth:`Pack.forward`.
        """
        audit = self.audit if self.audited and block == 0 else None
        inject = self.wrap_injection(self.noise.at((self.epoch, block), audit))
        pack = self._selected or select_members(self._pack, self.members)  # copied weights are freed after use
        y: Tensor = pack(x, inject, first, last)
        return y

    def rows_of(self, members: Sequence[int], x: Tensor) -> Tensor:
        """The rows of activations that belong to these members; a single row if all members have the same one."""
        if len(x) == 1:
            return x
        rows = [self.members.index(member) for member in members]
        return x[rows[:1]] if len(set(rows)) == 1 else x[rows]


@dataclass(frozen=True)
class Branch:
    """Runs that pass together from a noise point to the end of their networks."""

    point: int  # before it, their activations are the noise-free ones of their members
    runs: tuple[int, ...]  # indices


def branches(
    members: Sequence[int],
    configs: Sequence[RunConfig],
    group_size: int | None = None,
    latest_split: Callable[[int], int] = lambda point: point,
) -> list[Branch]:
    """The branches in which runs leave the shared prefix of their member, in the order of the noise points.

    A run leaves where its noise begins, or earlier if it would be the only run of its member left on the prefix.

    Parameters
    ----------
    members
        The member of each run.
    group_size
        The maximum number of runs in a branch; None: all runs that leave at one point.
    latest_split
        Returns the last noise point at which a network can be split, at or before a given noise point.
    """
    runs_of: dict[int, list[int]] = {}
    for run, member in enumerate(members):
        runs_of.setdefault(member, []).append(run)
    leaving: dict[int, list[list[int]]] = {}
    for runs in runs_of.values():
        begins = {run: latest_split(_first_noisy_point(configs[run])) for run in runs}
        last_shared = sorted(begins.values())[-2] if len(runs) > 1 else 0
        at_point: dict[int, list[int]] = {}
        for run in runs:
            at_point.setdefault(min(begins[run], last_shared), []).append(run)
        for point, of_member in at_point.items():
            leaving.setdefault(point, []).append(of_member)
    return [
        Branch(point, tuple(runs))
        for point in sorted(leaving)
        for runs in _grouped(leaving[point], group_size or sys.maxsize)
    ]


def _first_noisy_point(config: RunConfig) -> int:
    """The noise point where the run's noise begins; the last point for a run without noise."""
    point = config.first_noisy_point
    return len(config.points) - 1 if point is None else point


def _grouped(of_members: Iterable[list[int]], size: int) -> Iterator[list[int]]:
    """Split the runs into groups of at most ``size``.

    A member with at least ``size / 2`` runs has groups of its own, which read its weights once. The runs of all other
    members share groups.
    """
    few: list[int] = []
    for runs in of_members:
        if 2 * len(runs) < size:
            few += runs
        else:
            yield from split_evenly(runs, size)
    yield from split_evenly(few, size)
