"""Layers of any network: where torch.fx cuts it, and which networks are computed as a whole."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from walking_noise.models.graph_layer import GraphLayer
from walking_noise.models.module_points import record_calls, select_calls
from walking_noise.models.noise_points import NoisePoint, path_in_model
from walking_noise.models.trace_check import UntraceableError
from walking_noise.models.traced_layers import TracedLayers

SAMPLES = torch.zeros(2, 3, 8, 8)


class Network(nn.Module):
    """A network whose forward pass is a function of its modules."""

    def __init__(self, forward: Callable[[Any, Tensor], Tensor], **modules: nn.Module) -> None:
        super().__init__()
        for name, module in modules.items():
            self.add_module(name, module)
        self.computes = forward

    def forward(self, x: Tensor, scale: float = 1.0) -> Tensor:
        return self.computes(self, x) * scale


def conv(inputs: int = 4) -> nn.Module:
    return nn.Conv2d(inputs, 4, 3, padding=1)


def residual(net: Any, x: Tensor) -> Tensor:
    x = net.first(x)
    x = F.relu(x + net.norm(net.second(x)))
    return net.head(x.mean((2, 3)))  # type: ignore[no-any-return]


def residual_network() -> Network:
    return Network(residual, first=conv(3), second=conv(), norm=nn.BatchNorm2d(4), head=nn.Linear(4, 5))


def traced(network: nn.Module, selected: str = "products") -> TracedLayers:
    calls = select_calls(record_calls(copy.deepcopy(network), SAMPLES), selected)
    return TracedLayers(network, calls, SAMPLES)


def test_a_network_is_cut_where_a_single_tensor_leads_on() -> None:
    network = residual_network()
    layers = list(traced(network, "products+residual").of(network).named_children())
    block = layers[2][1]
    assert isinstance(block, GraphLayer)
    assert block.modules_called() == ["second", "noise points.1", "norm"]
    kinds = [type(layer) for _, layer in layers]
    assert kinds[:5] == [nn.Conv2d, NoisePoint, GraphLayer, NoisePoint, nn.ReLU]
    assert [path_in_model(name) for name, layer in layers if isinstance(layer, nn.Conv2d | nn.Linear)] == [
        "first",
        "head",
    ]
    points = [layer.name for _, layer in layers if isinstance(layer, NoisePoint)]
    assert points == ["first", "sum", "head"]


def test_the_layers_share_the_parameters_of_the_network() -> None:
    network = residual_network()
    layers, x = traced(residual_network()).of(network).eval(), torch.rand(2, 3, 8, 8)
    before = layers(x)
    with torch.no_grad():
        network.get_parameter("second.weight").mul_(2)
        network.get_parameter("norm.bias").fill_(3.0)
    assert torch.equal(layers(x), network.eval()(x))
    assert not torch.equal(layers(x), before)


def test_a_module_without_parameters_may_be_called_again() -> None:
    network = Network(lambda net, x: net.relu(net.second(net.relu(net.first(x)))).flatten(1),
                      first=conv(3), second=conv(), relu=nn.ReLU())  # fmt: skip
    layers = traced(network, "modules").of(network)
    points = [layer.name for layer in layers if isinstance(layer, NoisePoint)]
    assert points == ["first", "relu", "second", "relu#2"]


def test_a_change_in_place_of_what_nobody_else_uses() -> None:
    network = Network(lambda net, x: net.relu(net.first(x)).flatten(1), first=conv(3), relu=nn.ReLU(inplace=True))
    assert [type(layer) for layer in traced(network).of(network)][:3] == [nn.Conv2d, NoisePoint, nn.ReLU]


def test_calls_of_shared_parameters_stay_together() -> None:
    network = Network(lambda net, x: net.shared(F.relu(net.shared(net.first(x)))).flatten(1),
                      first=conv(3), shared=conv())  # fmt: skip
    first, _, twice, *_ = traced(network).of(network)
    assert isinstance(first, nn.Conv2d)
    assert isinstance(twice, GraphLayer)
    assert len(list(twice.parameters())) == 2


def changed_in_place(net: Any, x: Tensor) -> Tensor:
    x = net.first(x)
    return (x + net.relu(x)).flatten(1)  # type: ignore[no-any-return]


def changed_view(net: Any, x: Tensor) -> Tensor:
    x = net.first(x)
    y = x.flatten(1).relu_()
    return y + x.flatten(1)


class Sign(torch.autograd.Function):
    """Sign with the gradient of the identity."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.sign()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return gradients[0]


def with_own_gradient(net: Any, x: Tensor) -> Tensor:
    y: Tensor = Sign.apply(net.first(x))  # type: ignore[no-untyped-call]
    return y.flatten(1)


def partly_without_gradient(net: Any, x: Tensor) -> Tensor:
    with torch.no_grad():
        x = net.first(x)
    return (x * net.scale.weight).flatten(1)  # type: ignore[no-any-return]


def depends_on_values(net: Any, x: Tensor) -> Tensor:
    return net.first(x).flatten(1) if x.sum() < 1 else x.flatten(1)


def depends_on_mode(net: Any, x: Tensor) -> Tensor:
    return net.first(x).flatten(1) * (1 if net.training else 2)  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("computes", "message"),
    [
        (changed_in_place, "relu changes a tensor in place that is used again"),
        (changed_view, "relu_ changes a tensor in place that is used again"),
        (with_own_gradient, "other gradients"),
        (partly_without_gradient, "other gradients"),
        (depends_on_values, "control flow"),
        (depends_on_mode, "computes something else"),
    ],
)
def test_a_forward_pass_that_is_no_graph_is_computed_as_a_whole(computes: Any, message: str) -> None:
    network = Network(computes, first=conv(3), relu=nn.ReLU(inplace=True), scale=nn.Linear(1, 1))
    with pytest.raises(UntraceableError, match=message):
        traced(network)
