"""Part of a network of several calls in a pack: results and gradients equal those of packs of one."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from walking_noise.models.module_points import record_calls, select_calls
from walking_noise.models.noise_points import points_in, with_noise_points
from walking_noise.models.point import Point
from walking_noise.models.traced_layers import TracedLayers
from walking_noise.pack.layers import MemberByMember
from walking_noise.pack.layers.packed_graph import PackedGraph
from walking_noise.pack.pack import Pack
from walking_noise.pack.select_members import select_members
from walking_noise.pack.stacking import expand_rows

MEMBERS = 3


class Everything(nn.Module):
    """A network with residual sums, functions of every kind, parameters of its own, attention and shared modules."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.block = nn.Sequential(
            nn.Conv2d(8, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, 8, 3, padding=1),
            nn.BatchNorm2d(8),
        )
        self.pool = nn.MaxPool2d(2)
        self.position = nn.Parameter(torch.rand(16, 8))
        self.register_buffer("offset", torch.tensor(0.5))
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.mix = nn.Linear(8, 8)
        self.head = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm(self.conv(x)), inplace=True)
        x = self.pool(F.relu(x + self.block(x)))
        tokens = x.view(x.size(0), 8, -1).transpose(1, 2) + self.position
        attended, _ = self.attention(tokens, tokens, tokens, need_weights=False)
        tokens = self.mix(torch.tanh(self.mix(tokens + attended))) * 0.5 - self.offset
        logits: Tensor = self.head(torch.cat([tokens.mean(1), tokens[:, 0]], dim=1))
        return logits


@pytest.fixture(scope="module")
def networks() -> list[nn.Sequential]:
    torch.manual_seed(0)
    samples = torch.zeros(2, 3, 8, 8)
    calls = select_calls(record_calls(Everything(), samples), "modules+residual")
    traced = TracedLayers(Everything(), calls, samples)
    found = [with_noise_points(traced.of(Everything())) for _ in range(MEMBERS)]
    for network in found:
        for number, point in enumerate(points_in(network)):
            point.point = Point(number, point.name, after_batch_norm=False)
    return found


def shifted(point: int, x: Tensor, member: int | None = None) -> Tensor:
    """An injection with a different result for every noise point, equal for all members."""
    return x * (1 + 0.01 * point) + 0.01


@pytest.fixture(params=[True, False], ids=["training", "inference"])
def training(request: pytest.FixtureRequest) -> Iterator[bool]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield request.param
    torch.set_num_threads(threads)


def computed(networks: list[nn.Sequential], x: Tensor, training: bool) -> list[list[Tensor]]:
    """Logits, gradients and buffers of each member of a pack."""
    pack = Pack(networks).train(training)
    x = x.clone().requires_grad_()
    y = pack(x, shifted)
    y.square().sum().backward()
    assert x.grad is not None
    found = [y, *(parameter.grad for parameter in pack.parameters()), *pack.buffers(), x.grad]
    return [[one[member] for one in found if one is not None] for member in range(len(networks))]


def test_members_have_the_bits_of_a_pack_of_one(networks: list[nn.Sequential], training: bool) -> None:
    x = torch.randn(MEMBERS, 6, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    together = computed(networks, x, training)
    for member, network in enumerate(networks):
        (alone,) = computed([network], x[member : member + 1], training)
        assert len(alone) == len(together[member]) > 20
        assert all(torch.equal(one, other) for one, other in zip(together[member], alone, strict=True))


def test_members_compute_what_the_network_computes(networks: list[nn.Sequential], training: bool) -> None:
    x = torch.randn(1, 6, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    y = Pack(networks).train(training)(x, lambda point, x, member=None: x)
    for member, network in enumerate(networks):
        expected = copy.deepcopy(network).train(training)(x[0])
        torch.testing.assert_close(y[member], expected, rtol=1e-4, atol=1e-5)


def test_members_that_share_samples_equal_members_with_their_own(networks: list[nn.Sequential]) -> None:
    x = torch.randn(1, 6, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    pack = Pack(networks).eval()
    with torch.no_grad():
        shared, own = pack(x, shifted), pack(expand_rows(MEMBERS, x).contiguous(), shifted)
        chosen = select_members(pack, [2, 0])(x, shifted)
    torch.testing.assert_close(shared, own, rtol=1e-5, atol=1e-6)
    assert torch.equal(chosen[0], shared[2])


def test_only_layers_without_a_packed_form_are_computed_member_by_member(networks: list[nn.Sequential]) -> None:
    pack = Pack(networks)
    assert any(isinstance(layer, PackedGraph) for layer in pack.layers.values())
    slow: list[Any] = [module._template[0] for module in pack.modules() if isinstance(module, MemberByMember)]
    assert [type(module) for module in slow] == [nn.MultiheadAttention]


def test_weights_are_named_as_in_the_network(networks: list[nn.Sequential]) -> None:
    weights = Pack(networks).weights()
    assert list(weights) == ["conv", "block.0", "block.3", "attention.out_proj", "mix", "head"]
    assert weights["block.3"].shape == (MEMBERS, 8, 8, 3, 3)


class Encoded(nn.Module):
    """A network with one encoder, and the rest given by a function."""

    def __init__(self, rest: Callable[[Any, Tensor], Tensor]) -> None:
        super().__init__()
        self.encode = nn.Linear(8, 8)
        self.again = nn.Linear(8, 8)
        self.again.weight = self.encode.weight
        self.norm = nn.BatchNorm1d(8)
        self.scale = nn.Parameter(torch.tensor(0.5))
        self.recurrent = nn.GRU(8, 8, batch_first=True)
        self.flatten = nn.Flatten(0, 1)
        self.hooked = nn.Linear(8, 8)
        self.hooked.register_forward_hook(lambda module, inputs, output: output.tanh())
        self.head = nn.Linear(8, 5)
        self.rest = rest

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.rest(self, self.encode(x[:, 0])))
        return logits


RESTS: dict[str, Callable[[Any, Tensor], Tensor]] = {
    "tied weights": lambda net, x: net.again(x).mean(1),
    "change in place": lambda net, x: x.mean(1) + F.relu(net.norm(x.mean(1)), inplace=True),
    "field of a tuple": lambda net, x: x.max(1).values,
    "transposed by an attribute": lambda net, x: x.mT.mean(2),
    "zeros": lambda net, x: (x + torch.zeros(x.shape)).mean(1),
    "recurrent": lambda net, x: net.recurrent(x)[0][:, -1],
    "samples flattened": lambda net, x: net.flatten(x).unflatten(0, x.shape[:2]).mean(1),
    "hook": lambda net, x: net.hooked(x).mean(1),
    "scalar parameter": lambda net, x: (net.scale * x).mean(1),
    "samples mixed": lambda net, x: x.mean(1) - x.mean((0, 1)),
}


@pytest.mark.parametrize("rest", RESTS)
def test_packed_networks_equal_plain_ones(rest: str) -> None:
    torch.manual_seed(0)
    samples, plain = torch.zeros(2, 1, 4, 8), [Encoded(RESTS[rest]) for _ in range(2)]
    calls = select_calls(record_calls(Encoded(RESTS[rest]), samples), "products")
    traced = TracedLayers(Encoded(RESTS[rest]), calls, samples)
    split = [with_noise_points(traced.of(copy.deepcopy(network))) for network in plain]
    for network in split:
        for number, point in enumerate(points_in(network)):
            point.point = Point(number, point.name, after_batch_norm=False)
    pack, x = Pack(split).train(), torch.rand(2, 6, 1, 4, 8)
    y = pack(x, lambda point, x, member=None: x.detach().clone() * 0 + x)
    y.square().sum().backward()
    assert pack.finite().all()
    for member, encoded in enumerate(plain):
        expected = encoded.train()(x[member])
        torch.testing.assert_close(y[member], expected)
        expected.square().sum().backward()
        gradients = [stack.grad[member].abs().sum() for stack in pack.parameters() if stack.grad is not None]
        of_plain = [parameter.grad.abs().sum() for parameter in encoded.parameters() if parameter.grad is not None]
        torch.testing.assert_close(torch.stack(gradients).sum(), torch.stack(of_plain).sum())
