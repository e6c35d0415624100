"""Shared prefix: runs on one network share its activations up to the noise point where their noise begins."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor

from walking_noise.config.run_config import RunConfig
from walking_noise.data import DataSet
from walking_noise.evaluation.noise_before_product import NoiseBeforeProduct, UnitProducts, passes_through_product
from walking_noise.evaluation.recalibration import recalibrated
from walking_noise.models.noise_points import Inject
from walking_noise.noise.audit import Audit
from walking_noise.noise.injection import Injection
from walking_noise.noise.rng.cpu_generators import KeptDraws
from walking_noise.noise.weight_noise import WeightNoise
from walking_noise.pack.pack import Pack
from walking_noise.pack.partition import split_evenly
from walking_noise.pack.select_members import must_copy_weights, select_members
from walking_noise.pack.stacking import expand_rows

BLOCK = 250
"""Samples evaluated at once. Another value changes results: the noise at inference is keyed by the sample's block."""

Way = Literal["together", "through product", "sample by sample", "recalibrated"]
"""How runs are computed from where their noise begins: all samples of a block together; with noise that passes through
the product behind the point (:class:`NoiseBeforeProduct`); one sample after the other, each with weights of its own; or
with BatchNorm statistics of their own (:func:`recalibrated`)."""

WrapInjection = Callable[[Inject], Inject]
"""Takes the injection of one block of samples, and returns the injection to use in its place."""


def unchanged(inject: Inject) -> Inject:
    """The :data:`WrapInjection` that changes nothing."""
    return inject


class SharedPrefix:
    """Forward pass of runs through their networks, block by block, with each run's noise at inference.

    The noise-free activations of all members are computed from noise point to noise point. The runs that branch off at
    a point continue from there as a group, with their own noise. Noise in front of a product passes through it as in
    :class:`NoiseBeforeProduct`, unless the injection is wrapped: then every injection is made as at other points. The
    parameters are those of :func:`walking_noise.evaluation.evaluator.evaluate`. The epoch keys the noise, together with
    the block.
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
        data: DataSet,
    ) -> None:
        ways = [_way(pack, config, wrap_injection is unchanged) for config in configs]
        found = branches(members, configs, group_size, pack.latest_split, ways)
        kept = KeptDraws() if len(found) > 1 else None
        group = partial(_RunGroup, pack, epoch, wrap_injection, audited, kept, data)
        self._members = members
        self._branches = {
            branch: group(branch.way, [members[run] for run in branch.runs], [configs[run] for run in branch.runs])
            for branch in found
        }
        self._before_product: dict[Branch, NoiseBeforeProduct] = {}
        for some in _with_common_products(self._branches, members, configs, group_size or sys.maxsize):
            of_runs = {run: (members[run], configs[run]) for branch in some for run in branch.runs}
            self._before_product |= dict.fromkeys(some, NoiseBeforeProduct(pack, of_runs, some[0].point))
        clean = {member: config.without_noise() for member, config in zip(members, configs, strict=True)}
        self._shared = group("together", list(clean), list(clean.values()))

    @property
    def runs(self) -> list[int]:
        """Indices of the runs, in the order of their branches."""
        return [run for branch in self._branches for run in branch.runs]

    def logits(self, x: Tensor, block: int) -> Iterator[Tensor]:
        """Yield for each branch the logits ``(R, B, classes)`` of its R runs, for samples ``(1, B, …)``."""
        reached = 0
        last: tuple[NoiseBeforeProduct, UnitProducts] | None = None
        for branch, group in self._branches.items():
            if branch.point > reached:
                x = self._shared.forward(x, block, reached, branch.point)
                reached = branch.point
            before = self._before_product.get(branch)
            if before is None:
                logits = group.forward(self._shared.rows_of(group.members, x), block, reached)
            else:
                if last is None or last[0] is not before:
                    of_sources = self._shared.rows_of(before.members, x)
                    last = before, before.products(of_sources, (self._shared.epoch, block))
                if group.audits(block):
                    group.record(self._shared.rows_of(group.members, x), block, reached)
                logits = group.forward(before.outputs(last[1], branch.runs), block, reached + 1)
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
        kept: KeptDraws | None,
        data: DataSet,
        way: Way,
        members: Sequence[int],
        configs: Sequence[RunConfig],
    ) -> None:
        self.members, self.epoch, self.wrap_injection, self.audited = members, epoch, wrap_injection, audited
        device = next(pack.parameters()).device
        self.noise = Injection(configs, "inference", device, kept)
        self.weight_noise = WeightNoise(configs, "inference", pack, kept)
        self.audit = Audit(len(configs[0].points), len(configs), device)
        self._pack = pack
        self._selected = None if must_copy_weights(members) else select_members(pack, members)
        self._sample_by_sample = way == "sample by sample"
        if way == "recalibrated":
            self._selected = recalibrated(select_members(pack, members), configs, data, epoch)

    def forward(self, x: Tensor, block: int, first: int, last: int | None = None) -> Tensor:
        """Compute the input of noise point ``last`` from the input of noise point ``first``; the logits if it is None.

        Input and output are ``(R, B, …)``, or ``(rows, B, …)`` with fewer rows, see :meth:`Pack.forward`.
        """
        pack = self._selected or select_members(self._pack, self.members)  # copied weights are freed after use
        inject, audit = self._inject(block), self.audit if self.audits(block) else None
        if not self._sample_by_sample:
            return self.weight_noise.forward(pack, (self.epoch, block), audit, x, inject, first, last)
        each = (
            self.weight_noise.forward(pack, (self.epoch, BLOCK * block + number), audit, sample, inject, first, last)
            for number, sample in enumerate(x.split(1, dim=1))
        )
        return torch.cat(list(each), 1)

    def audits(self, block: int) -> bool:
        """Whether noise and signal of a block of samples are recorded for the audit."""
        return self.audited and block == 0

    def record(self, x: Tensor, block: int, point: int) -> None:
        """Record the noise that is drawn at a point with input ``x``, and its signal."""
        self._inject(block)(point, x)

    def _inject(self, block: int) -> Inject:
        audit = self.audit if self.audits(block) else None
        return self.wrap_injection(self.noise.at((self.epoch, block), audit))

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
    way: Way = "together"


def branches(
    members: Sequence[int],
    configs: Sequence[RunConfig],
    group_size: int | None = None,
    latest_split: Callable[[int], int] = lambda point: point,
    ways: Sequence[Way] | None = None,
) -> list[Branch]:
    """The branches in which runs leave the shared prefix of their member, in the order of the noise points.

    A run leaves where its noise begins, or earlier if it would be the only run of its member left on the prefix and its
    noise does not pass through a product.

    Parameters
    ----------
    members
        The member of each run.
    group_size
        The maximum number of runs in a branch; None: all runs that leave at one point.
    latest_split
        Returns the last noise point at which a network can be split, at or before a given noise point.
    ways
        How each run is computed; runs computed in different ways have different branches. None: all ``together``.
    """
    runs_of: dict[int, list[int]] = {}
    for run, member in enumerate(members):
        runs_of.setdefault(member, []).append(run)
    leaving: dict[tuple[int, Way], list[list[int]]] = {}
    for runs in runs_of.values():
        begins = {run: latest_split(_first_affected_point(configs[run])) for run in runs}
        last_shared = sorted(begins.values())[-2] if len(runs) > 1 else 0
        at_point: dict[tuple[int, Way], list[int]] = {}
        for run in runs:
            way = ways[run] if ways else "together"
            point = begins[run] if way == "through product" else min(begins[run], last_shared)
            at_point.setdefault((point, way), []).append(run)
        for key, of_member in at_point.items():
            leaving.setdefault(key, []).append(of_member)
    return [
        Branch(point, tuple(runs), way)
        for (point, way), of_members in sorted(leaving.items())
        for runs in _grouped(of_members, group_size or sys.maxsize)
    ]


def _with_common_products(
    found: Iterable[Branch], members: Sequence[int], configs: Sequence[RunConfig], most: int
) -> Iterator[list[Branch]]:
    """Consecutive branches through one product that compute it together, for at most ``most`` networks and seeds."""
    together: list[Branch] = []
    sources: set[tuple[int, int]] = set()
    for branch in found:
        if branch.way != "through product":
            continue
        own = {(members[run], configs[run].noise_seed) for run in branch.runs}
        if together and (branch.point != together[0].point or len(sources | own) > most):
            yield together
            together, sources = [], set()
        together.append(branch)
        sources |= own
    if together:
        yield together


def _way(pack: Pack, config: RunConfig, through_product: bool) -> Way:
    """How a run is computed; it depends on the run alone, except that its noise may not pass through a product."""
    if config.evaluation.recalibrate and config.evaluated_once:
        return "recalibrated"
    if config.noise.target == "weights" and config.redraw == "sample":
        return "sample by sample"
    return "through product" if through_product and passes_through_product(pack, config) else "together"


def _first_affected_point(config: RunConfig) -> int:
    """The last noise point before anything that the run's noise changes; the last point for a run without noise."""
    point = config.first_noisy_point
    if config.evaluation.recalibrate and config.evaluated_once:
        return 0
    if point is None:
        return len(config.points) - 1
    return point - 1 if config.noise.target == "weights" else point


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
