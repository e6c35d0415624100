"""Runs on their way through the networks of a pack: what they have in common is computed once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from torch import Tensor

from walking_noise.branching import branches
from walking_noise.config import RunConfig
from walking_noise.layers import for_each
from walking_noise.noise.audit import Audit
from walking_noise.noise.injection import Injection
from walking_noise.pack import Pack
from walking_noise.points import Inject
from walking_noise.standing import copies_weights, standing_on

BLOCK = 250
"""Samples evaluated at once. A part of the method: noise at inference is keyed by the block a sample stands in."""

Around = Callable[[Inject], Inject]
"""Given the injection into a block of samples, what happens at the noise points instead."""


class Passage:
    """One pass of runs through the networks they stand on, block by block, with each run's noise at inference.

    All members walk on without noise, from noise point to noise point, and branch by branch their runs leave them.

    Parameters
    ----------
    members
        The member of the pack that each run stands on.
    epoch
        Keys the noise, together with the block.
    audited
        Whether to measure noise and signal in the first block.
    together
        The most runs that go through the layers as one; None: no limit.
    """

    def __init__(
        self,
        pack: Pack,
        members: Sequence[int],
        configs: Sequence[RunConfig],
        epoch: int,
        *,
        around: Around,
        audited: bool,
        together: int | None,
    ) -> None:
        walkers = partial(_Walkers, pack, epoch, around, audited)
        self._members = members
        self._branches = {
            branch: walkers([members[run] for run in branch.runs], [configs[run] for run in branch.runs])
            for branch in branches(members, configs, together, pack.latest_split)
        }
        clean = {member: config.without_noise() for member, config in zip(members, configs, strict=True)}
        self._shared = walkers(list(clean), list(clean.values()))

    @property
    def runs(self) -> list[int]:
        """The runs in the order of their branches."""
        return [run for branch in self._branches for run in branch.runs]

    def logits(self, x: Tensor, block: int) -> Iterator[Tensor]:
        """Branch by branch the logits ``(R, B, classes)`` of its R runs, for samples ``(1, B, …)``."""
        here = 0
        for branch, walkers in self._branches.items():
            if branch.point > here:
                x = self._shared.walk(x, block, here, branch.point)
                here = branch.point
            logits = walkers.walk(self._shared.rows_of(walkers.members, x), block, here)
            yield for_each(len(branch.runs), logits)

    def audits(self) -> dict[int, dict[str, Any]]:
        """What was measured of each run; up to its branch, the signal is the one that it shared."""
        shared = {member: self._shared.audit.of(place) for place, member in enumerate(self._shared.members)}
        audits: dict[int, dict[str, Any]] = {}
        for branch, walkers in self._branches.items():
            for place, run in enumerate(branch.runs):
                audits[run] = walkers.audit.of(place)
                audits[run]["signal"][: branch.point] = shared[self._members[run]]["signal"][: branch.point]
        return audits


class _Walkers:
    """R runs that go through the layers as one, each with the weights of a member of the pack."""

    def __init__(
        self,
        pack: Pack,
        epoch: int,
        around: Around,
        audited: bool,
        members: Sequence[int],
        configs: Sequence[RunConfig],
    ) -> None:
        self.members, self.epoch, self.around, self.audited = members, epoch, around, audited
        device = next(pack.parameters()).device
        self.noise = Injection(configs, "inference", device)
        self.audit = Audit(len(configs[0].points), len(configs), device)
        self._pack = pack
        self._standing = None if copies_weights(members) else standing_on(pack, members)

    def walk(self, x: Tensor, block: int, first: int, last: int | None = None) -> Tensor:
        """From what arrives at one noise point to what arrives at another, or to the logits.

        ``x`` is (R, B, …), or (rows, B, …) as :meth:`Pack.forward` takes it; so is what is returned.
        """
        audit = self.audit if self.audited and block == 0 else None
        inject = self.around(self.noise.at(self.epoch, block, audit=audit))
        pack = self._standing or standing_on(self._pack, self.members)  # copies are not kept
        y: Tensor = pack(x, inject, first, last)
        return y

    def rows_of(self, members: Sequence[int], x: Tensor) -> Tensor:
        """The rows of activations that belong to these members; one row where all have the same."""
        if len(x) == 1:
            return x
        rows = [self.members.index(member) for member in members]
        return x[rows[:1]] if len(set(rows)) == 1 else x[rows]
