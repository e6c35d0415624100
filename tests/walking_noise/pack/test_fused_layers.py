"""Fused layers against the single layers with the injection between them: equal bit for bit."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from walking_noise import RunConfig
from walking_noise.cpu_kernels import library
from walking_noise.cpu_kernels.image_layers import ImageLayers
from walking_noise.models import Architecture, build
from walking_noise.noise.audit import Audit
from walking_noise.noise.injection import Injection
from walking_noise.pack.layers import PackedConv2d, fused_layers
from walking_noise.pack.pack import Pack

CPU = torch.device("cpu")
NOISE: dict[str, dict[str, Any]] = {
    "none": {"noise.kind": "none"},
    "additive": {"noise.kind": "additive", "noise.std": 0.4},
    "multiplicative": {"noise.kind": "multiplicative", "noise.std": 0.4},
    "straight-through": {"noise.kind": "multiplicative", "noise.std": 0.4, "noise.gradient": "straight_through"},
    "mixed": {"noise.kind": "mixed", "noise.std_mul": 0.4, "noise.std_add": 0.2},
    "added first": {"noise.kind": "mixed", "noise.std_mul": 0.4, "noise.std_add": 0.2, "noise.order": "add_first"},
    "at point 2": {"noise.kind": "multiplicative", "noise.std": 0.4, "noise.point": 2},
    "at point 3": {"noise.kind": "multiplicative", "noise.std": 0.4, "noise.point": 3},
    "huge": {"noise.kind": "multiplicative", "noise.std": 1e30},
}
TYPICAL = ("none", "mixed", "at point 3", "huge")
"""The noise of every network in the tests that are not slow."""
NETWORKS = {
    "lenet5": ("lenet5", (1, 20, 24), True),
    "odd height": ("lenet5", (1, 17, 20), True),
    "without BatchNorm": ("lenet5", (2, 16, 16), False),
    "without pooling": ("cnn_s", (1, 9, 40), True),
}
SEEDS = (5, 6, 5)


@pytest.fixture(autouse=True)
def _compiled() -> None:
    if library.library() is None:
        pytest.skip("no C compiler")


def configs(model: str, batch_norm: bool, noise: dict[str, Any]) -> list[RunConfig]:
    data = {"lenet5": "mnist5k", "cnn_s": "gsc"}[model]
    shared = {"data.name": data, "model.name": model, "model.batch_norm": batch_norm}
    return [RunConfig.from_dict({**shared, **noise, "seed": seed}) for seed in SEEDS]


def packed(model: str, inputs: tuple[int, ...], batch_norm: bool) -> Pack:
    """A pack of networks whose BatchNorm layers have weights and biases of their own."""
    torch.manual_seed(0)
    pack = Pack([build(Architecture(model, inputs, 10, batch_norm)) for _ in SEEDS])
    for parameter in pack.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return pack


def results(pack: Pack, runs: list[RunConfig], x: Tensor, training: bool, audit: Audit | None = None) -> list[Tensor]:
    """Logits, gradients of the parameters (in training) and BatchNorm statistics of one pass."""
    pack.train(training)
    with torch.set_grad_enabled(training):
        logits = pack(x, Injection(runs, "training", CPU).at((3,), audit))
    if not training:
        return [logits]
    parameters = list(pack.parameters())
    gradients = torch.autograd.grad(logits.square().sum(), parameters)
    return [logits.detach(), *gradients, *(buffer.clone() for buffer in pack.buffers())]


def assert_same(one: list[Tensor], another: list[Tensor]) -> None:
    for a, b in zip(one, another, strict=True):
        assert torch.equal(a.isnan(), b.isnan())
        assert torch.equal(a.nan_to_num(0.0), b.nan_to_num(0.0))


@pytest.mark.parametrize("training", [True, False], ids=["training", "inference"])
@pytest.mark.parametrize("rows", [1, 3], ids=["shared batch", "own batches"])
@pytest.mark.parametrize(
    ("network", "noise"),
    [
        pytest.param(network, noise, marks=[pytest.mark.slow] * (network != "lenet5" and noise not in TYPICAL))
        for network in NETWORKS
        for noise in NOISE
    ],
)
def test_fused_layers_equal_single_layers(
    network: str, noise: str, rows: int, training: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, inputs, batch_norm = NETWORKS[network]
    runs = configs(model, batch_norm, NOISE[noise])
    x = torch.randn(rows, 7, *inputs, generator=torch.Generator().manual_seed(1))
    calls: list[int] = []
    forward = ImageLayers.forward

    def counted(*arguments: Any) -> None:
        calls.append(1)
        forward(*arguments)

    monkeypatch.setattr(ImageLayers, "forward", counted)
    fused = results(packed(model, inputs, batch_norm), runs, x, training)
    blocks = sum(name.startswith("conv") and "noise" not in name for name in packed(model, inputs, batch_norm).layers)
    assert len(calls) == blocks * len(SEEDS)
    monkeypatch.setattr(fused_layers, "library", lambda: None)
    assert_same(fused, results(packed(model, inputs, batch_norm), runs, x, training))
    assert len(calls) == blocks * len(SEEDS)


def test_measured_noise_goes_layer_by_layer_with_the_same_numbers() -> None:
    model, inputs, batch_norm = NETWORKS["lenet5"]
    runs = configs(model, batch_norm, NOISE["mixed"])
    x = torch.randn(3, 7, *inputs)
    audit = Audit(len(runs[0].points), len(runs))
    measured = results(packed(model, inputs, batch_norm), runs, x, True, audit)
    assert_same(results(packed(model, inputs, batch_norm), runs, x, True), measured)
    assert audit.of(0)["std_mul"][2] == pytest.approx(0.4, rel=0.1)


@pytest.mark.parametrize(
    "options", [{"stride": 2, "padding": "valid"}, {"padding": "same"}, {"padding": 2, "stride": 2}], ids=str
)
@pytest.mark.parametrize("width", [24, 25, 26])
def test_width_of_the_output_of_a_convolution(options: dict[str, Any], width: int) -> None:
    layer = PackedConv2d([nn.Conv2d(1, 2, 5, **options)])
    assert layer.output_width(width) == layer(torch.zeros(1, 3, 1, 20, width)).shape[-1]


def test_an_odd_width_is_pooled_by_the_single_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its windows do not fill the rows, which the fused layers do not support."""
    runs = configs("lenet5", True, NOISE["additive"])
    x = torch.randn(3, 7, 1, 20, 21)
    logits = results(packed("lenet5", (1, 20, 21), True), runs, x, True)
    monkeypatch.setattr(fused_layers, "library", lambda: None)
    assert_same(logits, results(packed("lenet5", (1, 20, 21), True), runs, x, True))
