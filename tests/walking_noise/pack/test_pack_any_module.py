"""User-defined modules: their results in a pack are bitwise those of a pack of one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.walking_noise.pack.test_pack import bits
from tests.walking_noise.parts import new_models
from tests.walking_noise.running import HERE, numbers
from walking_noise import Result, RunConfig, train
from walking_noise.data import DataSet
from walking_noise.models.noise_points import (
    NoisePoint,
    injecting,
    named_layers,
    path_in_model,
    points_in,
    with_noise_points,
)
from walking_noise.models.point import Point
from walking_noise.noise.injection import Injection
from walking_noise.pack.pack import Pack, packed_names
from walking_noise.pack.select_members import select_members
from walking_noise.pack.stacking import expand_rows, load_states
from walking_noise.training.member import TrainedNetwork
from walking_noise.training.trainer import train_pack

CPU = torch.device("cpu")
NETWORKS = [("residual", True), ("patch_transformer", False)]
MULTIPLICATIVE = {"noise.kind": "multiplicative", "noise.std": 0.7}
RUNS: list[dict[str, Any]] = [
    {"noise.std": 0.5},
    {"noise.std": 0.8, "noise.point": 3},
    {**MULTIPLICATIVE, "noise.point": 4, "training.weight_clamp": 0.1},
    {**MULTIPLICATIVE, "noise.gradient": "straight_through"},
    {"noise.kind": "mixed", "noise.std_mul": 0.4, "noise.std_add": 0.2, "noise.order": "add_first"},
    {"noise.kind": "none"},
    {**MULTIPLICATIVE, "noise.std": 1e16},
    {"noise.std": 0.6, "noise.point": 2, "noise.in_training": False, "noise.seed": 77},
    {**MULTIPLICATIVE, "noise.in_training": False},
    {"noise.std": 0.6, "noise.point": 1, "noise.in_training": False},
]


@pytest.fixture(scope="module", autouse=True)
def added() -> Iterator[None]:
    with new_models():
        yield


@pytest.fixture(scope="module", params=NETWORKS, ids=lambda network: network[0])
def configs(request: pytest.FixtureRequest) -> list[RunConfig]:
    name, batch_norm = request.param
    shared = {"model.name": name, "model.batch_norm": batch_norm, "training.epochs": 2}
    return [RunConfig.from_dict({**shared, **one, "seed": seed}) for seed, one in enumerate(RUNS)]


@pytest.fixture(scope="module")
def results(configs: list[RunConfig], fewer_digits: DataSet) -> list[Result]:
    """The result of every run in a pack of one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("walking_noise.data.load", lambda *selection, **settings: fewer_digits)
        return [train([config], **HERE)[0] for config in configs]


@pytest.mark.parametrize(("size", "members"), [(3, range(10)), (6, (9, 1, 2, 5, 7, 8, 4, 0))])
def test_results_equal_those_of_a_pack_of_one(
    size: int, members: Sequence[int], configs: list[RunConfig], results: list[Result], only_fewer_digits: DataSet
) -> None:
    packed = train([configs[member] for member in members], pack_size=size, **HERE)
    assert max(result.pack_size for result in packed) == size
    for member, result in zip(members, packed, strict=True):
        assert numbers(result) == numbers(results[member]), RUNS[member]
    assert len({str(result.training_loss) for result in packed}) == len(packed)


def test_noise_is_injected_at_every_point_with_and_without_training(results: list[Result]) -> None:
    everywhere, at_inference = results[0], results[8]
    assert everywhere.audit["training"]["std_add"] == pytest.approx([0.5] * len(everywhere.points), rel=0.15)
    assert everywhere.audit["inference"]["std_add"] == pytest.approx([0.5] * len(everywhere.points), rel=0.15)
    assert at_inference.audit["inference"]["std_mul"] == pytest.approx([0.7] * len(everywhere.points), rel=0.15)


@pytest.fixture(scope="module")
def networks(configs: list[RunConfig], fewer_digits: DataSet) -> list[TrainedNetwork]:
    """The network of every run trained with noise, in a pack of one."""
    return [train_pack([config], fewer_digits, CPU)[0] for config in configs[:7]]


@pytest.mark.parametrize("members", [(2, 0, 4), (1, 5, 3, 0, 6, 4, 2)], ids=len)
def test_logits_and_networks_equal_those_of_a_pack_of_one(
    members: Sequence[int], configs: list[RunConfig], networks: list[TrainedNetwork], fewer_digits: DataSet
) -> None:
    chosen, alone = [configs[member] for member in members], [networks[member] for member in members]
    packed = train_pack(chosen, fewer_digits, CPU)
    assert [bits(vars(one)) for one in packed] == [bits(vars(one)) for one in alone]
    together = logits(chosen, packed, fewer_digits)
    for position, (config, one) in enumerate(zip(chosen, alone, strict=True)):
        assert bits(together[position]) == bits(logits([config], [one], fewer_digits)[0])


@torch.no_grad()
def logits(configs: Sequence[RunConfig], trained: Sequence[TrainedNetwork], data: DataSet) -> Tensor:
    """The logits of trained networks in one pack, with their noise at inference."""
    pack = Pack([config.initial_network() for config in configs]).eval()
    load_states(pack.stacked_state(), [one.state for one in trained])
    x = data.transform.validation_inputs(data.validation_samples).unsqueeze(0)
    y: Tensor = pack(x, Injection(configs, "inference", CPU).at((1, 0)))
    return y


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("training", [True, False])
def test_a_pack_computes_what_the_plain_modules_compute(configs: list[RunConfig], training: bool) -> None:
    networks = [config.initial_network().train(training) for config in configs[:3]]
    pack = Pack(networks).train(training)
    x, weights = torch.randn(3, 5, 1, 28, 28), torch.randn(3, 5, 10)
    y = pack(x, shifted)
    (y * weights).sum().backward()
    for member, network in enumerate(networks):
        with injecting(network, partial(shifted, member=member)):
            alone = network(x[member])
        (alone * weights[member]).sum().backward()
        torch.testing.assert_close(y[member], alone)
        tensors = dict(network.named_parameters()) | dict(network.named_buffers())
        for layer, module in named_layers(network):
            for plain, packed in packed_names(module, pack.layers[layer]):
                stack, tensor = pack.layers[layer].state_dict(keep_vars=True)[packed], tensors.pop(f"{layer}.{plain}")
                torch.testing.assert_close(stack[member], tensor)
                if tensor.requires_grad:
                    torch.testing.assert_close(stack.grad[member], tensor.grad)
        assert all(name.endswith("num_batches_tracked") for name in tensors)


def shifted(point: int, x: Tensor, member: int | None = None) -> Tensor:
    """An injection with a different result for every noise point and member."""
    if member is not None:
        return x * (1 + 0.1 * point) + 0.01 * member
    return torch.stack([shifted(point, one, number) for number, one in enumerate(expand_rows(3, x).unbind(0))])


def test_weights_in_modules_are_named_clamped_and_reported(results: list[Result], configs: list[RunConfig]) -> None:
    expected = {
        "residual": [
            "0",
            *(f"{block}.{layer}" for block in (2, 3) for layer in ("conv1", "conv2", "around")),
            "6",
        ],
        "patch_transformer": [
            *("embedding", "attention.out_proj", "mlp.0", "mlp.2"),
            *("encoder.self_attn.out_proj", "encoder.linear1", "encoder.linear2", "head"),
        ],
    }[configs[0].model.name]
    assert list(results[0].mean_abs_weight) == expected
    assert max(weight or 1.0 for weight in results[2].mean_abs_weight.values()) < 0.1
    pack = Pack([config.initial_network() for config in configs[:2]])
    for name, weight in pack.weights().items():
        plain = dict(configs[1].initial_network().named_modules())
        (layer,) = [module for path, module in plain.items() if _path_in_network(path) == name]
        assert torch.equal(weight[1], layer.get_parameter("weight"))


def _path_in_network(path: str) -> str:
    layer, _, within = path.partition(".")
    return f"{path_in_model(layer)}.{within}".strip(".")


class Rectified(nn.Module):
    """A layer without parameters, with a noise point inside."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = NoisePoint("inner")

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x + self.inner(torch.relu(x))
        return y


def numbered(layers: nn.Sequential) -> nn.Sequential:
    network = with_noise_points(layers)
    for number, module in enumerate(points_in(network)):
        module.point = Point(number, module.name, after_batch_norm=False)
    return network


def in_parts() -> Pack:
    """Three networks with noise points 1 and 3 between layers, and 2 inside a layer."""
    torch.manual_seed(0)
    middle = (NoisePoint("flat"), Rectified(), NoisePoint("sum"))
    return Pack([numbered(nn.Sequential(nn.Flatten(), *middle, nn.Linear(4, 3))) for _ in range(3)])


def test_points_in_modules_are_reached_member_by_member_and_others_once() -> None:
    reached: list[tuple[int, int | None, tuple[int, ...]]] = []

    def inject(point: int, x: Tensor, member: int | None = None) -> Tensor:
        reached.append((point, member, tuple(x.shape)))
        return x

    in_parts()(torch.randn(1, 5, 2, 2), inject)
    inside = [(2, member, (5, 4)) for member in range(3)]
    assert reached == [(0, None, (1, 5, 2, 2)), (1, None, (1, 5, 4)), *inside, (3, None, (3, 5, 4))]


def test_the_forward_pass_is_split_between_layers_only() -> None:
    pack, x = in_parts(), torch.randn(1, 5, 2, 2)
    whole = pack(x, shifted)
    assert [pack.latest_split(point) for point in range(4)] == [0, 1, 1, 3]
    for point in (1, 3):
        assert torch.equal(pack(pack(x, shifted, last=point), shifted, first=point), whole)
    for where in ({"first": 2}, {"last": 2}, {"first": 4}):
        with pytest.raises(ValueError, match=r"cannot be split at noise point \d"):
            pack(x, shifted, **where)


def test_selected_members_have_the_noise_of_their_position() -> None:
    pack, x = in_parts(), torch.randn(1, 5, 2, 2)
    whole = pack(x, shifted)
    again = select_members(pack, [0, 1, 2])(x, shifted)
    assert torch.equal(again, whole)
    first = select_members(pack, [2, 2, 2])(x, shifted)
    assert torch.equal(first[2], whole[2])
    assert not torch.equal(first[0], whole[0])


@pytest.mark.parametrize("training", [True, False])
def test_every_noise_point_is_reached_in_spite_of_fused_attention(configs: list[RunConfig], training: bool) -> None:
    """With fused attention, torch calls no module in an encoder layer at inference without gradients."""
    pack = Pack([config.initial_network() for config in configs[:2]]).train(training)
    reached: set[int] = set()

    def inject(point: int, x: Tensor, member: int | None = None) -> Tensor:
        reached.add(point)
        return x

    with torch.no_grad():
        pack(torch.randn(1, 5, 1, 28, 28), inject)
    assert reached == {point.number for point in configs[0].points}
    assert torch.backends.mha.get_fastpath_enabled()
