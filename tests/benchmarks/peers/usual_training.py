"""Training of one run the usual way: plain network with noise modules, DataLoader, torch's Adam."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.benchmarks.peers.sample_data import Loader
from walking_noise import RunConfig
from walking_noise.models.noise_points import NoisePoint


class Noise(nn.Module):
    """Layer of Gaussian noise: ``x·(1 + mul·e1) + add·e2``, with ``e1`` and ``e2`` standard normal."""

    def __init__(self, mul: float, add: float) -> None:
        super().__init__()
        self.mul = mul
        self.add: Tensor
        self.register_buffer("add", torch.tensor(add))

    def forward(self, x: Tensor) -> Tensor:
        if self.mul:
            x = x * (1 + self.mul * torch.randn_like(x))
        return x + self.add * torch.randn_like(x)


def plain_network(config: RunConfig, noisy: bool = True) -> nn.Sequential:
    """The run's network with the trainer's initialisation, and with a noise layer at each noisy point if ``noisy``."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for name, layer in config.initial_network().named_children():
        if not isinstance(layer, NoisePoint):
            layers[name] = layer
        elif noisy and max(level := config.levels[layer.point.number]) > 0:
            layers[name] = Noise(level.mul, level.add)
    return nn.Sequential(layers)


def train_as_usual(config: RunConfig, loader: Loader, device: torch.device, after_batch: Callable[[], None]) -> None:
    """Train until ``after_batch`` raises; the loss is read after every step."""
    network = plain_network(config).to(device)
    optimizer = torch.optim.Adam(network.parameters(), lr=config.training.learning_rate)
    total = 0.0
    network.train()
    while True:
        for images, labels in loader:
            x, y = images.to(device, non_blocking=True), labels.to(device, non_blocking=True)
            optimizer.zero_grad()
            loss = F.cross_entropy(network(x), y)
            loss.backward()
            optimizer.step()
            total += loss.item()
            after_batch()
