"""A run's numbers depend on the run alone: packed equals alone, to the last bit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from walking_noise import RunConfig
from walking_noise.data import DataSet
from walking_noise.pack import Pack, initialised
from walking_noise.training import Trained, train_pack

CPU = torch.device("cpu")
NETWORKS = [("mlp", False), ("mlp", True), ("lenet5", False), ("lenet5", True)]
RUNS: list[dict[str, Any]] = [
    {"noise.kind": "none"},
    {"noise.std": 0.5},
    {"noise.std": 1.0, "noise.point": 3, "training.learning_rate": 3e-3},
    {"noise.kind": "multiplicative", "noise.std": 0.7},
    {"noise.kind": "multiplicative", "noise.std": 0.7, "noise.gradient": "straight_through"},
    {"noise.kind": "mixed", "noise.amplitude": 0.6, "noise.ratio": 0.3},
    {"noise.kind": "mixed", "noise.std_mul": 0.4, "noise.std_add": 0.2, "noise.order": "add_first"},
    {"noise.kind": "multiplicative", "noise.std": 1e16},
    {"noise.std": 1e10, "noise.point": 1, "training.weight_clamp": 0.05},
    {"noise.std": 0.3, "noise.in_training": False, "noise.seed": 77},
]
SICK = 7
"""Multiplicative noise of level 1e16 at every point: its weights end as NaN, or stay beyond all use."""
PACKS = [(0, 1), (7, 3), range(len(RUNS)), (9, 8, 7, 6, 5, 4, 3), (2, 5, 0, 9, 4, 7, 1), (4, 4, 1)]


def runs(model: str, batch_norm: bool) -> list[RunConfig]:
    shared = {"model.name": model, "model.batch_norm": batch_norm, "training.epochs": 2}
    return [RunConfig.from_dict({**shared, **one, "seed": seed}) for seed, one in enumerate(RUNS)]


@pytest.fixture(scope="module", params=NETWORKS, ids=lambda network: f"{network[0]}{'-bn' * network[1]}")
def network(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture(scope="module")
def alone(network: tuple[str, bool], digits: DataSet) -> list[Trained]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    trained = [train_pack([config], digits, CPU)[0] for config in runs(*network)]
    torch.set_num_threads(threads)
    return trained


def bits(values: Any) -> Any:
    """Values in which NaN equals NaN and 0 differs from -0."""
    if isinstance(values, Tensor):
        return values.dtype, tuple(values.shape), values.contiguous().numpy().tobytes()
    if isinstance(values, dict):
        return {name: bits(value) for name, value in values.items()}
    if isinstance(values, list):
        return [bits(value) for value in values]
    return values.hex() if isinstance(values, float) else values


@pytest.mark.parametrize("members", PACKS, ids=lambda members: "-".join(map(str, members)))
def test_packed_equals_alone(
    network: tuple[str, bool], members: Sequence[int], alone: list[Trained], digits: DataSet
) -> None:
    configs = runs(*network)
    packed = train_pack([configs[member] for member in members], digits, CPU)
    for member, trained in zip(members, packed, strict=True):
        for part, value in vars(alone[member]).items():
            assert bits(vars(trained)[part]) == bits(value), f"{part} of {RUNS[member]}"
