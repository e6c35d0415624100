"""Cases of the comparison: a walking study of a model on a data set, and the goals for the speed of packs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product

import torch

from walking_noise import RunConfig
from walking_noise.runtime.planner import plan_packs

LEVELS = tuple(10.0 ** (exponent / 4) for exponent in range(-8, 33))
"""Noise levels, those of ``seml_configs/walking/mnist.yaml``: 41 from 0.01 to 1e8."""
SEEDS = 3
FULL = 32
"""Number of runs that differ in the level only, or in the seed only: they fill packs of 16 and of 8."""
TITLES = {"mlp": "MLP", "lenet5": "LeNet-5", "mnist": "MNIST", "cifar10": "CIFAR-10"}


@dataclass(frozen=True)
class Goal:
    """Lower bound of a figure, or with ``at_most`` its upper bound."""

    value: float
    at_most: bool = False

    def met(self, figure: float) -> bool:
        """Whether a figure meets the bound; a figure equal to the bound does."""
        return figure <= self.value if self.at_most else figure >= self.value


@dataclass(frozen=True)
class Case:
    """A study of a model with BatchNorm under additive noise at one point at a time.

    Attributes
    ----------
    point
        The noise point of a single run.
    peers
        Names of the peers, see :mod:`tests.benchmarks.peers.peer`, separated by blanks.
    goals
        Ratio of the speed of packs to that of a peer, by the peer's name; by several names: to that of the fastest.
    walks
        Whether the runs of a pack are spread over all points; otherwise all have their noise at ``point``.
    own_seeds
        Whether every run of a pack has its own seed, so its own mini-batches, and all have one level; otherwise runs of
        a seed differ in the level.
    traffic_goal
        Least share of a pack's step time that the unavoidable memory traffic takes.
    """

    data: str
    model: str
    point: int
    peers: str
    goals: Mapping[str, Goal] = field(default_factory=dict)
    walks: bool = False
    own_seeds: bool = False
    traffic_goal: float | None = None

    @property
    def config(self) -> RunConfig:
        """A single run, at the middle level."""
        return RunConfig.from_dict(
            {
                "data.name": self.data,
                "model.name": self.model,
                "model.batch_norm": True,
                "noise.std": 1.0,
                "noise.point": self.point,
                "training.epochs": 100,
            }
        )

    @property
    def name(self) -> str:
        return f"{TITLES[self.model]} with BatchNorm on {TITLES[self.data]}"

    @property
    def title(self) -> str:
        """The name, the noise points, and the seeds."""
        point = f"point {self.point}, {self.config.points[self.point].name}"
        where = f"at all points in turn (single runs: {point})" if self.walks else f"at {point}"
        return f"{self.name}, noise {where}; {'a seed for each run' if self.own_seeds else 'runs share seeds'}"

    def study(self) -> list[RunConfig]:
        """All runs that may share packs: points × levels × seeds."""
        one = self.config
        points = range(len(one.points)) if self.walks else [self.point]
        levels, seeds = (LEVELS if self.walks else LEVELS[:FULL]), SEEDS
        if self.own_seeds:
            levels, seeds = (1.0,), FULL
        return [
            RunConfig.from_dict(one.to_flat() | {"seed": seed, "noise.point": point, "noise.std": level})
            for point, level, seed in product(points, levels, range(seeds))
        ]

    def pack(self, size: int, rank: int, processes: int) -> list[RunConfig]:
        """The pack that process ``rank`` of ``processes`` trains: a full one from the middle of the study."""
        planned = list(plan_packs(self.study(), {self.config.pack_key: size}, processes))
        full = [members for members in planned if len(members) == len(planned[0])]
        return [training.config for training in full[(len(full) // 2 + rank) % len(full)]]


BEST_OF_VMAP = {"d d' e": Goal(1.5)}
GLOBAL_NOISE = {"g": Goal(1.4, at_most=True)}


def cases(device: torch.device) -> list[Case]:
    """The cases for a kind of device."""
    if device.type == "cpu":
        return [
            Case("mnist", "mlp", 5, "a b c d d' e", BEST_OF_VMAP),
            Case("mnist", "mlp", 5, "c d d' e", BEST_OF_VMAP, own_seeds=True),
            Case("cifar10", "mlp", 4, "c g", GLOBAL_NOISE),
            Case("cifar10", "lenet5", 5, "a b c d e g", {"a": Goal(3), "d": Goal(5), **GLOBAL_NOISE}),
        ]
    against_usual = {"a": Goal(50), "a'": Goal(8)}
    return [
        Case("cifar10", "lenet5", 5, "a a' b c", against_usual, walks=True, traffic_goal=0.5),
        Case("mnist", "mlp", 5, "a b c", walks=True),
    ]
