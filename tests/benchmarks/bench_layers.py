"""Speed of several ways to compute one layer of many runs, per layer and device.

For any device: ``python tests/benchmarks/bench_layers.py [--device cuda] [--members 64]``; ``make bench`` uses the
device on which the library would train. Every way is first checked against the plain layers of the members. Then all
ways are timed in turn, forward and backward, in several rounds.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from experiments.benchmark.pack_rates import device_in_words, settle
from walking_noise.reproducibility import deterministic
from walking_noise.runtime.sizing.capacity import default_device

BATCH = 128
ROUNDS, SECONDS = 5, 0.3
MEMBERS = {"cpu": 8, "cuda": 64}
WIDTH = 20
Way = Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Layer:
    """A layer of K members: inputs (K, B, …), or (1, B, …) if shared; weights (K, out, in, …), biases (K, out).

    For the first layer of a network no gradient of the input is computed.
    """

    name: str
    inputs: tuple[int, ...]
    weights: tuple[int, ...]
    first: bool = False
    shared: bool = False

    def tensors(self, members: int, device: torch.device) -> list[Tensor]:
        generator = torch.Generator().manual_seed(0)
        shapes = (
            (1 if self.shared else members, BATCH, *self.inputs),
            (members, *self.weights),
            (members, self.weights[0]),
        )
        x, weight, bias = (torch.randn(shape, generator=generator).to(device) for shape in shapes)
        return [x.requires_grad_(not self.first), weight.requires_grad_(), bias.requires_grad_()]


LAYERS = (
    Layer("LeNet-5 conv1, CIFAR-10, shared batch", (3, 32, 32), (6, 3, 5, 5), first=True, shared=True),
    Layer("LeNet-5 conv1, CIFAR-10", (3, 32, 32), (6, 3, 5, 5), first=True),
    Layer("LeNet-5 conv2, CIFAR-10", (6, 14, 14), (16, 6, 5, 5)),
    Layer("LeNet-5 fc1, CIFAR-10", (400,), (120, 400)),
    Layer("MLP fc1, MNIST, shared batch", (784,), (64, 784), first=True, shared=True),
    Layer("MLP fc1, MNIST", (784,), (64, 784), first=True),
    Layer("MLP fc2, MNIST", (64,), (64, 64)),
)


def own_rows(x: Tensor, weight: Tensor) -> Tensor:
    """The input (K, B, …); a shared input (1, B, …) is expanded."""
    return x.expand(len(weight), *x.shape[1:])


def split_members(y: Tensor, members: int) -> Tensor:
    """(B, K·C, …) as (K, B, C, …)."""
    samples, channels, *rest = y.shape
    return y.view(samples, members, channels // members, *rest).transpose(0, 1)


def convolve_members(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """One convolution for each member."""
    return torch.stack([F.conv2d(*one) for one in zip(own_rows(x, weight), weight, bias, strict=True)])


def convolve_wide(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """One convolution with the filters of all members; only for a shared input."""
    y = F.conv2d(x[0], weight.flatten(0, 1), bias.flatten())
    return split_members(y, len(weight))


def convolve_grouped(x: Tensor, weight: Tensor, bias: Tensor, memory: torch.memory_format | None = None) -> Tensor:
    """One convolution with a group for each member."""
    merge_members = own_rows(x, weight).transpose(0, 1).flatten(1, 2)
    kernels = weight.flatten(0, 1)
    if memory is not None:
        merge_members, kernels = (
            merge_members.contiguous(memory_format=memory),
            kernels.contiguous(memory_format=memory),
        )
    y = F.conv2d(merge_members, kernels, bias.flatten(), groups=len(weight))
    return split_members(y, len(weight))


def convolve_channels_last(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """One convolution with a group for each member, with the channels innermost in memory."""
    return convolve_grouped(x, weight, bias, torch.channels_last)


def convolve_unfolded(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Windows as columns, then one batched matrix product."""
    rows, samples = x.shape[:2]
    size = weight.shape[-1]
    columns = F.unfold(x.flatten(0, 1), size).unflatten(0, (rows, samples))
    flat = weight.flatten(2)
    y: Tensor = torch.einsum("kof,kbfp->kbop", flat, own_rows(columns, weight)) + bias[:, None, :, None]
    return y.reshape(*y.shape[:-1], x.shape[-2] - size + 1, x.shape[-1] - size + 1)


def multiply_members(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """One product for each member."""
    return torch.stack([F.linear(*one) for one in zip(own_rows(x, weight), weight, bias, strict=True)])


def multiply_wide(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """One product with the rows of all matrices; only for a shared input."""
    y = F.linear(x[0], weight.flatten(0, 1), bias.flatten())
    return split_members(y, len(weight))


def multiply_batched(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """One batched product that adds the bias."""
    return torch.baddbmm(bias.unsqueeze(1), own_rows(x, weight), weight.transpose(1, 2))


def ways(layer: Layer) -> dict[str, Way]:
    """The ways to compute a layer, by name; the first is the reference."""
    if len(layer.weights) == 2:
        methods: dict[str, Way] = {"member by member": multiply_members, "batched product": multiply_batched}
        return methods | ({"wide": multiply_wide} if layer.shared else {})
    methods = {
        "member by member": convolve_members,
        "grouped": convolve_grouped,
        "grouped, chan. last": convolve_channels_last,
        "unfold + product": convolve_unfolded,
    }
    return methods | ({"wide": convolve_wide} if layer.shared else {})


def check(layer: Layer, members: int, device: torch.device) -> None:
    """Check that all ways give the same values and gradients."""
    expected: list[Tensor] = []
    for name, way in ways(layer).items():
        tensors = layer.tensors(members, device)
        y = way(*tensors)
        values = [y.detach(), *torch.autograd.grad(y.square().mean(), differentiated(tensors))]
        for one, another in zip(values, expected or values, strict=True):
            difference = float((one - another).abs().max() / another.abs().max())
            assert difference < 1e-3, f"{layer.name}: {name} differs by {difference:.2g}"
        expected = expected or values


def differentiated(tensors: list[Tensor]) -> list[Tensor]:
    return [tensor for tensor in tensors if tensor.requires_grad]


def seconds(way: Way, tensors: list[Tensor], device: torch.device) -> float:
    """Seconds of a forward and backward pass."""
    upstream = torch.ones_like(way(*tensors), memory_format=torch.contiguous_format)
    wanted = differentiated(tensors)
    torch.autograd.grad(way(*tensors), wanted, upstream)
    settle(device)
    started, passes = time.perf_counter(), 0
    while time.perf_counter() - started < SECONDS:
        for _ in range(3):
            torch.autograd.grad(way(*tensors), wanted, upstream)
        settle(device)
        passes += 3
    return (time.perf_counter() - started) / passes


def table(device: torch.device, members: int) -> Iterator[str]:
    """A line per layer: microseconds of a run's forward and backward pass, median and spread of the rounds."""
    yield f"{device_in_words(device)}, {members} members, batches of {BATCH}; µs of forward and backward pass, per run"
    for layer in LAYERS:
        check(layer, members, device)
        tensors = layer.tensors(members, device)
        rounds = [{name: seconds(way, tensors, device) for name, way in ways(layer).items()} for _ in range(ROUNDS)]
        yield layer.name
        for name in ways(layer):
            measured = [one[name] / members * 1e6 for one in rounds]
            yield f"  {name:{WIDTH}} {statistics.median(measured):9,.1f}  {min(measured):,.1f} .. {max(measured):,.1f}"


def test_layer_by_layer():
    device = default_device()
    with deterministic():
        print("", *table(device, MEMBERS[device.type]), sep="\n", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Time the ways to compute one layer of many runs.")
    parser.add_argument("--device", type=torch.device, default=default_device())
    parser.add_argument("--members", type=int)
    options = parser.parse_args()
    with deterministic():
        for line in table(options.device, options.members or MEMBERS[options.device.type]):
            print(line, flush=True)
