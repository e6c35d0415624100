"""Ceilings of the speed: the least number of bytes that a training step of a run moves, and its operations.

Of the layers of a network, only convolutions and linear layers ("products") pass over whole activations. The layers
between two products (BatchNorm, noise, ReLU, pooling: a "chain") count as one fused pass. Noise is drawn in registers.
Caches are not taken into account, since a pack exceeds them. With activations in float32, per step:

forward
    a product reads its input P and its weights W and writes its output O. BatchNorm needs the statistics of all of O
    first, and pooling needs a window of O: a chain with BatchNorm or pooling reads O and writes the input of the next
    product. A chain with neither is part of the product before it.
backward
    a product reads the gradient of O, its input P and W, and writes the gradients of P (except for the first product)
    and of W. BatchNorm needs two sums over all of O first, so a chain with BatchNorm reads O and the incoming gradient
    twice; a chain with pooling but without BatchNorm reads them once. The chain writes the gradient of O.
Adam
    reads parameter, gradient and both moments, and writes all of them except the gradient.

A product with ``m`` multiply-adds per sample does ``2·m·batch`` operations forward and twice as many backward. The
first product does only half of those backward, for its weights. The mini-batch is divided among the members that share
it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from experiments.benchmark.pack_rates import settle
from walking_noise import RunConfig
from walking_noise.models import Architecture, build

FLOAT = 4
STORED = 1
"""Bytes of a number, and of a stored pixel."""
COPIED = {"cpu": 2**28, "cuda": 2**30}
"""Bytes that are copied to measure the bandwidth."""


@dataclass(frozen=True)
class Product:
    """A convolution or linear layer with the chain behind it; numbers of elements per sample.

    Attributes
    ----------
    inputs, outputs
        Elements of the layer's input and output.
    chained
        Elements of the chain's output, the next product's input.
    passes
        Number of times that the chain's backward pass reads its input: 2 with BatchNorm, 1 with pooling only, 0 if the
        chain is part of the product.
    multiply_adds
        Multiply-adds of the layer.
    """

    inputs: int
    outputs: int
    chained: int
    passes: int
    multiply_adds: int


def products(config: RunConfig) -> list[Product]:
    """The convolutions and linear layers of a run's network, in their order."""
    layers: list[Product] = []
    with torch.device("meta"):
        network = build(
            Architecture(config.model.name, config.data.shape, config.data.classes, config.model.batch_norm)
        )
        x = torch.empty(1, *config.data.shape)
    for layer, before, after in _layers(network.eval(), x):
        if isinstance(layer, nn.Conv2d | nn.Linear):
            multiply_adds = layer.weight.numel() * after.numel() // layer.weight.shape[0]
            layers.append(Product(before.numel(), after.numel(), after.numel(), 0, multiply_adds))
        elif layers:
            last = layers[-1]
            passes = 2 if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d) else int(isinstance(layer, nn.MaxPool2d))
            layers[-1] = Product(last.inputs, last.outputs, after.numel(), max(last.passes, passes), last.multiply_adds)
    return layers


def bytes_per_run_step(config: RunConfig, members_per_batch: float = 1.0) -> float:
    """Least number of bytes that a training step of a run moves.

    Parameters
    ----------
    members_per_batch
        Runs of a pack that share a mini-batch; it is read once for all of them.
    """
    layers, batch = products(config), config.training.batch_size
    pixels = layers[0].inputs
    activations = sum(3 * layer.inputs + 2 * layer.outputs for layer in layers) - 3 * pixels
    for layer in layers:
        if layer.passes:
            forward = layer.outputs + layer.chained
            activations += forward + layer.passes * (layer.chained + layer.outputs) + layer.outputs
    shared = (STORED + 3 * FLOAT) * pixels / members_per_batch  # gathered, written, and read forward and backward
    return batch * (FLOAT * activations + shared) + FLOAT * 10 * parameters(config)


def operations_per_run_step(config: RunConfig) -> int:
    """Floating-point operations of convolutions and linear layers in a training step of a run."""
    first, *others = products(config)
    per_sample = 4 * first.multiply_adds + 6 * sum(layer.multiply_adds for layer in others)
    return config.training.batch_size * per_sample


def parameters(config: RunConfig) -> int:
    """Parameters of a run's network."""
    with torch.device("meta"):
        network = build(config.architecture)
    return sum(parameter.numel() for parameter in network.parameters())


def copy_bandwidth(device: torch.device, rounds: int) -> list[float]:
    """Bytes read and written per second by a copy within the device's memory, in each round."""
    source = torch.zeros(COPIED[device.type] // FLOAT, device=device)
    target = torch.empty_like(source)
    target.copy_(source)
    measured = []
    for _ in range(rounds):
        settle(device)
        started = time.perf_counter()
        for _ in range(4):
            target.copy_(source)
        settle(device)
        measured.append(4 * 2 * COPIED[device.type] / (time.perf_counter() - started))
    return measured


def _layers(network: nn.Sequential, x: Tensor) -> Iterator[tuple[nn.Module, Tensor, Tensor]]:
    """Every layer with its input and its output."""
    for layer in network:
        y = layer(x)
        yield layer, x, y
        x = y
