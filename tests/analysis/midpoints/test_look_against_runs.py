"""Look at networks that a plain loop trained, against runs of the same networks with noise at inference."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from analysis import midpoints
from analysis.midpoints.trained_network import look
from walking_noise import RunConfig, data, train
from walking_noise.data import own_data

HERE = __name__
LEVELS = [float(level) for level in np.logspace(-2, 2, 13)]
SEEDS = range(3)
SHARE = 0.9
"""Least share of the noise points at which the two intervals overlap."""
held: dict[str, data.DataSet] = {}
weights: dict[str, dict[str, Tensor]] = {}


class Convolutional(nn.Module):
    """Two strided convolutions with BatchNorm, a residual path around a third one, and a linear layer."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(channels, 16, 3, 2, 1), nn.Conv2d(16, 32, 3, 2, 1)
        self.conv3, self.fc = nn.Conv2d(32, 32, 3, padding=1), nn.Linear(32 * 64, classes)
        self.norm1, self.norm2 = nn.BatchNorm2d(16, momentum=0.1), nn.BatchNorm2d(32, momentum=0.1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm2(self.conv2(self.norm1(self.conv1(x)).relu())).relu()
        logits: Tensor = self.fc((x + self.conv3(x)).relu().flatten(1))
        return logits


def plain(name: str, inputs: tuple[int, ...], classes: int) -> nn.Module:
    if name == "cifar10":
        return Convolutional(inputs[0], classes)
    hidden = nn.Linear(784, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, classes)
    return nn.Sequential(nn.Flatten(), *hidden)


def trained(name: str, inputs: tuple[int, ...], classes: int) -> nn.Module:
    """The network with the weights of the plain loop. Runs do not change the statistics of its BatchNorm."""
    network = plain(name, inputs, classes)
    network.load_state_dict(weights[name])
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.0
    return network


def mnist_network(inputs: tuple[int, ...], classes: int, batch_norm: bool) -> nn.Module:
    return trained("mnist", inputs, classes)


def cifar10_network(inputs: tuple[int, ...], classes: int, batch_norm: bool) -> nn.Module:
    return trained("cifar10", inputs, classes)


def halves(name: str) -> tuple[TensorDataset, TensorDataset]:
    """A few samples for the training of the runs, which changes no weight, and all validation samples."""
    one = held[name]
    return TensorDataset(*samples(one, 64)), TensorDataset(*samples(one, None))


def samples(one: data.DataSet, first: int | None) -> tuple[Tensor, Tensor]:
    return one.transform.validation_inputs(one.validation_samples[:first]), one.validation_labels[:first]


@own_data(shape=(1, 28, 28), classes=10)
def mnist_data(validation: str) -> Any:
    return halves("mnist")


@own_data(shape=(3, 32, 32), classes=10)
def cifar10_data(validation: str) -> Any:
    return halves("cifar10")


@pytest.fixture(params=["mnist", "cifar10"])
def name(request: pytest.FixtureRequest, data_root: Path) -> Iterator[str]:
    """A data set; its network has been trained by a plain loop on 20,000 of its samples."""
    one: str = request.param
    held[one] = loaded = data.load(one, root=data_root)
    x = loaded.transform.validation_inputs(loaded.train_samples[:20_000])
    torch.manual_seed(0)
    network = plain(one, tuple(x.shape[1:]), 10)
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    for _ in range(3):
        for batch in torch.randperm(len(x)).split(128):
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(x[batch]), loaded.train_labels[batch]).backward()
            optimizer.step()
    weights[one] = network.state_dict()
    yield one
    held.clear()
    weights.clear()


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.parametrize("kind", ["additive", "multiplicative"])
def test_the_midpoints_agree(name: str, kind: str) -> None:
    shared = {
        "model.name": f"{HERE}:{name}_network", "data.name": f"{HERE}:{name}_data", "model.points": "products+residual",
        "noise.kind": kind, "noise.in_training": False, "training.epochs": 1, "training.learning_rate": 1e-30,
    }  # fmt: skip
    configs = [
        RunConfig.from_dict({**shared, "noise.point": point.number, "noise.std": std, "seed": seed})
        for point in RunConfig.from_dict(shared).points
        for std in (0.0, *LEVELS)
        for seed in SEEDS
    ]
    results = train(configs, processes=1, device="cpu")
    runs = midpoints.estimate(configs, results).set_index("point")
    network = trained(name, configs[0].data.shape, 10)
    x, labels = samples(held[name], None)
    chosen = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))[:2000]
    table = look(network, [(x[chosen], labels[chosen])], points="products+residual", kind=kind).set_index("point")
    same = network.eval()(x).argmax(1) == labels
    clean = [result.accuracy for config, result in zip(configs, results, strict=True) if not config.noisy]
    assert clean == pytest.approx([float(same.double().mean())] * len(clean), abs=3e-4), "of the same weights"
    both = runs[["mu", "bound", "low", "high", "flags"]].join(table.add_suffix("_look"))
    assert list(both.index) == list(table.index)
    known = both.dropna(subset=["low", "low_look"])
    overlap = (known["low"] <= known["high_look"]) & (known["low_look"] <= known["high"])
    print(f"\n{name}, {kind}: intervals overlap at {overlap.sum()} of {len(overlap)} points")
    print(both[["mu", "bound", "low", "high", "flags", "mu_look", "low_look", "high_look", "flag_look"]].to_string())
    assert 2 * len(known) >= len(
        both
    )  # under multiplicative noise a network may keep half of its accuracy at any level
    assert overlap.mean() >= SHARE
