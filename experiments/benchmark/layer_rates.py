"""Measurement of the alternatives for the layers of the shipped models on a GPU; workers use the fastest of each.

A forward and a backward pass of each layer of a pack of :data:`MEMBERS` networks is timed, as a CUDA graph. As in most
studies, the members share the inputs of their first layer, which needs no gradient. An alternative counts only if its
numbers equal those of the default.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from experiments.benchmark.pack_rates import ROUNDS, settle
from walking_noise import RunConfig
from walking_noise.checkpoints.layer_choices import layer_shapes
from walking_noise.noise.kind import gaussian
from walking_noise.noise.member_noise import MemberNoise
from walking_noise.noise.rng.counter_based import CounterBasedNoise
from walking_noise.pack.gpu.choices import ALTERNATIVES, LayerShape, MeasuredLayer
from walking_noise.pack.gpu.convolutions import convolve, output_size
from walking_noise.pack.layers import PackedBatchNorm, PackedMaxPool2d
from walking_noise.reproducibility import deterministic
from walking_noise.training.cuda_graph import WARM_UP_STEPS, CudaGraphRecorder

MEMBERS = 64
"""Networks in the measured pack. The choice is the same for every size of a pack."""
SECONDS = 0.2
"""Least duration of a round."""
REPEATS = 10
"""Passes that a GPU queues at once."""
TOLERANCE = 1e-3
"""Largest difference from the numbers of the default, relative to the largest of them."""

Passes = Callable[[str], list[Tensor]]
"""Forward and backward pass by an alternative: the outputs and the gradients."""


def measure_layers(device: torch.device, configs: Iterable[RunConfig]) -> tuple[MeasuredLayer, ...]:
    """Measure and print the alternatives for all layers of some runs."""
    shapes = {
        shape: shape.operation == "convolution" and shape.inputs[1:] == tuple(config.data.shape)
        for config in configs
        for shape in layer_shapes(config)
    }
    measured = []
    for shape, is_first in shapes.items():
        with deterministic():
            layer = _measured(shape, is_first, device)
        times = ", ".join(f"{name} {seconds * 1e3:.3f} ms" for name, seconds in layer.seconds.items())
        print(f"{shape}: {times}; chosen: {layer.chosen}", flush=True)
        measured.append(layer)
    return tuple(measured)


def _measured(shape: LayerShape, is_first: bool, device: torch.device) -> MeasuredLayer:
    default, *others = ALTERNATIVES[shape.operation]
    passes = PASSES[shape.operation](shape, is_first, device)
    expected = [tensor.clone() for tensor in passes(default)]
    seconds = {default: _seconds(passes, default, device)}
    for name in others:
        try:
            if fault := _difference(passes(name), expected):
                print(f"{shape}: {name} is not used: {fault}", flush=True)
            else:
                seconds[name] = _seconds(passes, name, device)
        except Exception as error:  # a kernel that does not compile, or too little memory; the default remains
            print(f"{shape}: {name} is not used: {str(error).splitlines()[0]}", flush=True)
    return MeasuredLayer(shape, seconds, min(seconds, key=seconds.__getitem__))


def _difference(actual: list[Tensor], expected: list[Tensor]) -> str | None:
    for one, other in zip(actual, expected, strict=True):
        difference, largest = (one - other).abs().max().item(), other.abs().max().item()
        if not difference <= TOLERANCE * largest:
            return f"its numbers differ by {difference:g}, the largest of them is {largest:g}"
    return None


def _seconds(passes: Passes, alternative: str, device: torch.device) -> float:
    """Median over the rounds of the seconds of one forward and backward pass."""

    def work() -> None:
        passes(alternative)

    repeated = work
    if device.type == "cuda":
        recorder = CudaGraphRecorder(device)
        for _ in range(WARM_UP_STEPS):
            recorder.warm_up(work)
        repeated = recorder.record(work)
    rounds = []
    for _ in range(ROUNDS):
        settle(device)
        started, count = time.perf_counter(), 0
        while not count or time.perf_counter() < started + SECONDS:
            for _ in range(REPEATS):
                repeated()
            count += REPEATS
            settle(device)
        rounds.append((time.perf_counter() - started) / count)
    return statistics.median(rounds)


def _convolution(shape: LayerShape, is_first: bool, device: torch.device) -> Passes:
    torch.manual_seed(0)
    samples, channels, *image = shape.inputs
    x = torch.randn(1 if is_first else MEMBERS, *shape.inputs, device=device, requires_grad=not is_first)
    weight = torch.randn(MEMBERS, shape.filters, channels, *shape.kernel, device=device, requires_grad=True)
    bias = torch.randn(MEMBERS, shape.filters, device=device, requires_grad=True)
    size = output_size((image[0], image[1]), shape.kernel, shape.stride, shape.padding)
    gradient = torch.randn(samples, MEMBERS, shape.filters, *size, device=device).transpose(0, 1)

    def passes(alternative: str) -> list[Tensor]:
        y = convolve(alternative, x, weight, bias, shape.stride, shape.padding)
        inputs = [one for one in (x, weight, bias) if one.requires_grad]
        return [y.detach(), *torch.autograd.grad(y, inputs, gradient)]

    return passes


def _image_layers(shape: LayerShape, is_first: bool, device: torch.device) -> Passes:
    """All members have both terms of the noise before the ReLU, and one seed."""
    torch.manual_seed(0)
    samples, channels, height, width = shape.inputs
    x = torch.randn(samples, MEMBERS, *shape.inputs[1:], device=device).transpose(0, 1).requires_grad_()
    gradient = torch.randn(samples, MEMBERS, channels, height // 2, width // 2, device=device).transpose(0, 1)
    norm = PackedBatchNorm([nn.BatchNorm2d(channels)] * MEMBERS).to(device) if shape.batch_norm else None
    pool = PackedMaxPool2d(nn.MaxPool2d(2))
    drawn = [MemberNoise(member, 0, 0.5, 0.5, False, True, gaussian) for member in range(MEMBERS)]
    noise = CounterBasedNoise([drawn], "training noise", MEMBERS, device)
    step = torch.zeros(1, dtype=torch.int64, device=device)

    def passes(alternative: str) -> list[Tensor]:
        if alternative == "fused":
            from walking_noise.noise.rng import triton_image_layers

            normalisation = None if norm is None else (norm.weight, norm.bias, norm.eps)
            y, mean, var = triton_image_layers.image_layers(x, (noise.drawn_at(0), None), step, normalisation)
            if norm is not None and mean is not None and var is not None:
                norm.update_statistics(mean, var, samples * height * width)
        else:
            normalised = x if norm is None else norm(x)
            y = pool(noise.at(step)(0, normalised, 0, None).relu())
        inputs = [x] if norm is None else [x, norm.weight, norm.bias]
        return [y.detach(), *torch.autograd.grad(y, inputs, gradient)]

    return passes


PASSES: dict[str, Callable[[LayerShape, bool, torch.device], Passes]] = {
    "convolution": _convolution,
    "image_layers": _image_layers,
}
"""Operation -> the function that makes the inputs for a shape, and returns the passes."""
