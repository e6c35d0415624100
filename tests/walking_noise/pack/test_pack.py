"""The numbers of a run do not depend on its pack: they are bitwise those of a pack of one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from walking_noise import RunConfig
from walking_noise.data import DataSet
from walking_noise.models import Architecture, build
from walking_noise.pack.pack import Pack
from walking_noise.pack.stacking import load_states, unstack
from walking_noise.training.member import TrainedNetwork
from walking_noise.training.trainer import train_pack

CPU = torch.device("cpu")
NETWORKS = [("mlp", False), ("mlp", True), ("lenet5", False), ("lenet5", True)]
RUNS: list[dict[str, Any]] = [
    {"noise.kind": "none"},
    {"noise.std": 0.5},
    {"noise.std": 1.0, "noise.point": 3},
    {"noise.kind": "multiplicative", "noise.std": 0.7},
    {"noise.kind": "multiplicative", "noise.std": 0.7, "noise.gradient": "straight_through"},
    {"noise.kind": "mixed", "noise.amplitude": 0.6, "noise.ratio": 0.3},
    {"noise.kind": "mixed", "noise.std_mul": 0.4, "noise.std_add": 0.2, "noise.order": "add_first"},
    {"noise.kind": "multiplicative", "noise.std": 1e16},
    {"noise.std": 1e10, "noise.point": 1, "training.weight_clamp": 0.05},
    {"noise.std": 0.3, "noise.in_training": False, "noise.seed": 77},
]
SICK = 7
"""Multiplicative noise of level 1e16 at every point: the run diverges."""
PACKS = [(0, 1), (9, 0, 1), (7, 3), (9, 8, 7, 6, 5, 4, 3), (2, 5, 0, 9, 4, 7, 1)]


def runs(model: str, batch_norm: bool) -> list[RunConfig]:
    shared = {"model.name": model, "model.batch_norm": batch_norm, "training.epochs": 2}
    return [RunConfig.from_dict({**shared, **one, "seed": seed}) for seed, one in enumerate(RUNS)]


@pytest.fixture(
    scope="module",
    params=[pytest.param(one, marks=[pytest.mark.slow] * (one == ("lenet5", False))) for one in NETWORKS],
    ids=lambda network: f"{network[0]}{'-bn' * network[1]}",
)
def network(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture(scope="module")
def alone(network: tuple[str, bool], fewer_digits: DataSet) -> list[TrainedNetwork]:
    return [train_pack([config], fewer_digits, CPU)[0] for config in runs(*network)]


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
    network: tuple[str, bool], members: Sequence[int], alone: list[TrainedNetwork], fewer_digits: DataSet
) -> None:
    configs = runs(*network)
    packed = train_pack([configs[member] for member in members], fewer_digits, CPU)
    for member, trained in zip(members, packed, strict=True):
        for part, value in vars(alone[member]).items():
            assert bits(vars(trained)[part]) == bits(value), f"{part} of {RUNS[member]}"


def test_only_the_sick_run_diverges(alone: list[TrainedNetwork]) -> None:
    assert [one.overflow_epoch for one in alone] == [1 if member == SICK else None for member in range(len(RUNS))]


def test_equal_runs_of_a_pack_are_equal(fewer_digits: DataSet) -> None:
    config = runs("mlp", True)[5]
    first, second = train_pack([config, config], fewer_digits, CPU)
    assert bits(vars(first)) == bits(vars(second))


def test_initialisation_is_torchs_own_and_a_function_of_the_seed() -> None:
    seeds = (0, 1, 2, 3, 2**31, 2**32 - 1)
    states = [
        RunConfig.from_dict({"model.name": "lenet5", "seed": seed}).initial_network().state_dict() for seed in seeds
    ]
    again = RunConfig.from_dict({"model.name": "lenet5"}).initial_network().state_dict()
    torch.manual_seed(0)
    torchs = build(Architecture("lenet5", (1, 28, 28), 10, False)).state_dict()
    for name, tensor in states[0].items():
        assert torch.equal(tensor, again[name])
        assert len({bits(state[name]) for state in states}) == len(seeds)
        assert tensor.shape == torchs[name].shape
        if tensor.numel() > 500:
            assert float(tensor.std()) == pytest.approx(float(torchs[name].std()), rel=0.1)


def members() -> list[nn.Sequential]:
    return [RunConfig.from_dict({"model.batch_norm": True, "seed": seed}).initial_network() for seed in range(3)]


def test_member_states_are_views_that_are_loaded() -> None:
    pack, other = Pack(members()), Pack(members()[::-1])
    states = unstack(pack.stacked_state())
    state = states[0]
    assert set(state) == set(pack.stacked_state())
    for name, tensor in state.items():
        plain = members()[0].state_dict()[name.removeprefix("layers.")]
        assert torch.equal(tensor, plain)
    load_states(other.stacked_state(), [state, states[1], state])
    for name, tensor in other.stacked_state().items():
        assert torch.equal(tensor[0], tensor[2])
        assert torch.equal(tensor[1], pack.stacked_state()[name][1])
    state["layers.fc1.weight"].zero_()
    assert not pack.stacked_state()["layers.fc1.weight"][0].any()
    assert other.stacked_state()["layers.fc1.weight"][0].any()


def test_weights_are_those_of_conv_and_linear_layers() -> None:
    lenet = RunConfig.from_dict({"model.name": "lenet5", "model.batch_norm": True})
    pack = Pack([lenet.initial_network(), lenet.initial_network()])
    shapes = {name: tuple(weight.shape) for name, weight in pack.weights().items()}
    assert shapes == {
        "conv1": (2, 6, 1, 5, 5),
        "conv2": (2, 16, 6, 5, 5),
        "fc1": (2, 120, 256),
        "fc2": (2, 84, 120),
        "fc3": (2, 10, 84),
    }


def test_weights_of_layer_norm_are_not_clamped() -> None:
    layers = nn.Sequential(nn.Conv2d(1, 2, 3, bias=False), nn.LayerNorm([2, 6, 6]), nn.Flatten(), nn.Linear(72, 10))
    assert list(Pack([layers]).weights()) == ["0", "3"]


def test_weights_of_nested_layers_are_found() -> None:
    block = nn.Sequential(nn.Linear(6, 6), nn.ReLU())
    pack = Pack([nn.Sequential(block, nn.Linear(6, 10))])
    assert len(pack.weights()) == 2


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("name", ["fc1.weight", "bn2.bias", "fc4.bias"])
def test_a_single_parameter_that_is_not_finite_is_detected(name: str, value: float) -> None:
    networks = members()
    with torch.no_grad():
        networks[1].get_parameter(name).view(-1)[-1] = value
    assert Pack(networks).finite().tolist() == [True, False, True]


def test_large_weights_are_finite() -> None:
    networks = members()
    with torch.no_grad():
        networks[1].get_parameter("fc1.weight").fill_(1e37)
    assert Pack(networks).finite().tolist() == [True, True, True]
