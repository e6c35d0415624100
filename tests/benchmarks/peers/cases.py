"""Cases of the comparison: a walking study of a model on a data set, and the goals for the speed of packs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

import torch

from walking_noise import RunConfig
from walking_noise.runtime.planner import plan_packs

LEVELS = tuple(10.0 ** (exponent / 4) for exponent in range(-8, 33))
"""Noise levels, those of ``seml_configs/walking/mnist.yaml``: 41 from 0.01 to 1e8."""
SEEDS = range(3)
TITLES = {"mlp": "MLP", "lenet5": "LeNet-5", "mnist": "MNIST", "cifar10": "CIFAR-10"}


@dataclass(frozen=True)
class Case:
    """A study of a model with BatchNorm under additive noise at one point at a time.

    Attributes
    ----------
    epochs
        Epochs of a run in the papers' study.
    point
        The noise point of a single run.
    walks
        Whether the runs of a pack are spread over all points; otherwise all have their noise at ``point``.
    goals
        Least ratio of the speed of packs to that of a peer, by the peer's name, see
        :mod:`tests.benchmarks.peers.peer`.
    traffic_goal
        Least share of a pack's step time that the unavoidable memory traffic takes.
    """

    data: str
    model: str
    epochs: int
    point: int
    walks: bool
    goals: Mapping[str, float]
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
                "training.epochs": self.epochs,
            }
        )

    @property
    def name(self) -> str:
        return f"{TITLES[self.model]} with BatchNorm on {TITLES[self.data]}"

    @property
    def title(self) -> str:
        """The name, the noise points, and the epochs of a run."""
        point = f"point {self.point}, {self.config.points[self.point].name}"
        where = f"at all points in turn (single runs: {point})" if self.walks else f"at {point}"
        return f"{self.name}, noise {where}; {self.epochs} epochs"

    def study(self) -> list[RunConfig]:
        """All runs that may share packs: points × levels × seeds."""
        one = self.config
        points = range(len(one.points)) if self.walks else [self.point]
        return [
            RunConfig.from_dict(one.to_flat() | {"seed": seed, "noise.point": point, "noise.std": level})
            for point, level, seed in product(points, LEVELS, SEEDS)
        ]

    def pack(self, size: int, rank: int, processes: int) -> list[RunConfig]:
        """The pack that process ``rank`` of ``processes`` trains: a full one from the middle of the study."""
        planned = list(plan_packs(self.study(), {self.config.pack_key: size}, processes))
        full = [members for members in planned if len(members) == len(planned[0])]
        return [training.config for training in full[(len(full) // 2 + rank) % len(full)]]

    def runs_per_hour(self, steps_per_second: float, samples: int) -> float:
        """Runs trained per hour, from the run steps per second and the number of training samples."""
        return 3600 * steps_per_second / (self.epochs * math.ceil(samples / self.config.training.batch_size))


def cases(device: torch.device) -> list[Case]:
    """The cases for a kind of device."""
    if device.type == "cpu":
        return [
            Case("mnist", "mlp", 100, point=5, walks=False, goals={"a": 15, "b": 1.3}),
            Case("cifar10", "lenet5", 300, point=5, walks=False, goals={"a": 5, "b": 1.3}),
        ]
    return [
        Case("cifar10", "lenet5", 300, point=5, walks=True, goals={"a": 50, "b": 20, "a'": 8}, traffic_goal=0.5),
        Case("mnist", "mlp", 100, point=5, walks=True, goals={"a": 300, "b": 60}),
    ]
