"""Numbers that the code released with the papers gives: models, noise points, logits, learning rates, black pixels.

``released_code.json`` holds them, and says from which weights and input each follows.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from walking_noise import models
from walking_noise.data.sets import cifar10, fashion_mnist
from walking_noise.models import Architecture
from walking_noise.models.noise_points import NoisePoint
from walking_noise.training.adam.packed_adam import cosine_rate

FACTS: dict[str, Any] = json.loads((Path(__file__).parent / "released_code.json").read_text())
SHAPES = {"mnist": (1, 28, 28), "cifar10": (3, 32, 32), "gsc": (1, 10, 49)}
CLASSES = {"mnist": 10, "cifar10": 10, "gsc": 12}


def wave(tensor: Tensor, number: int) -> Tensor:
    """The values that ``how`` in the file states for the tensor of this number."""
    values = 0.1 * torch.sin(0.37 * torch.arange(tensor.numel(), dtype=torch.float64) + number)
    return values.float().view(tensor.shape)


def stated_weights(network: nn.Module) -> None:
    """Give the network the weights that the file states."""
    number = 0
    norms = (nn.BatchNorm1d, nn.BatchNorm2d)
    with torch.no_grad():
        for layer in network.modules():
            if not isinstance(layer, (nn.Conv2d, nn.Linear, *norms)):
                continue
            tensors = [layer.weight, layer.bias]
            if isinstance(layer, norms):
                tensors += [layer.running_mean, layer.running_var]
            for position, tensor in enumerate(tensors):
                assert tensor is not None
                offset = 1.0 if isinstance(layer, norms) and position in (0, 3) else 0.0
                tensor.copy_(wave(tensor, number) + offset)
                number += 1


def followed_layers(network: nn.Module) -> list[str]:
    """The class of the layer before each noise point, in the order of the modules, which is that of the numbers."""
    names, previous = [], "input"
    for module in network.modules():
        if isinstance(module, NoisePoint):
            names.append(previous)
        elif not list(module.children()) and not isinstance(module, nn.Flatten):
            previous = type(module).__name__
    return names


@pytest.mark.parametrize("facts", FACTS["models"], ids=lambda one: f"{one['model']}-{one['data']}-{one['batch_norm']}")
def test_models_equal_those_of_the_released_code(facts: dict[str, Any]) -> None:
    shape, classes = SHAPES[facts["data"]], CLASSES[facts["data"]]
    network = models.build(Architecture(facts["model"], shape, classes, facts["batch_norm"])).eval()
    stated_weights(network)
    assert sum(parameter.numel() for parameter in network.parameters()) == facts["parameters"]
    assert followed_layers(network) == facts["point_follows"]
    x = torch.sin(0.011 * torch.arange(4 * math.prod(shape), dtype=torch.float64)).float().view(4, *shape)
    with torch.no_grad():
        logits = network(x)
    torch.testing.assert_close(logits, torch.tensor(facts["logits"]), rtol=0, atol=2e-7)


def test_learning_rates_equal_those_of_the_released_code() -> None:
    rates = [cosine_rate(1e-3, epoch, 50) for epoch in range(50)]
    assert rates == pytest.approx(FACTS["learning_rate_of_50_epochs"], rel=1e-9)


@pytest.mark.parametrize("name", FACTS["black_after_normalisation"])
def test_border_is_black_before_the_normalisation(name: str) -> None:
    """The released code crops the stored image, so its border is not 0 but black minus the mean."""
    transform = {"cifar10": cifar10, "fashion_mnist": fashion_mnist}[name].DATA_SET.transforms["release"]
    white = torch.full((1, len(transform.mean), 32, 32), 255, dtype=torch.uint8)
    nothing_above = torch.zeros(1, 3, 1, dtype=torch.uint8)
    prepared = transform.prepare(white)
    inputs = transform.training_inputs(prepared, torch.zeros(1, 1, dtype=torch.int64), nothing_above)[0, 0]
    corner = [channel[0, 0].item() for channel in inputs]
    assert corner == pytest.approx(FACTS["black_after_normalisation"][name], abs=1e-6)
