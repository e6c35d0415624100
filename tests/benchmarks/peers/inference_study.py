"""Inference-only walking study of one model: its trainings, and the time of its evaluations."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook

from experiments.errors import UserError
from tests.benchmarks.peers.cases import LEVELS
from walking_noise import Failure, Progress, RunConfig, data, train_each
from walking_noise.models import build
from walking_noise.models.noise_points import NoisePoint
from walking_noise.pack.layers import PackedConv2d
from walking_noise.pack.pack import Pack
from walking_noise.runtime.planner import plan_trainings


@dataclass(frozen=True)
class Inference:
    """Measurements of the study.

    Attributes
    ----------
    runs, trainings
        Number of planned runs, and of networks trained for them.
    forward_share
        Share of the time of all evaluations that is spent in forward passes, noise included; one value per round.
    clean_passes
        How often, on average over the points, the activations before a point were computed to evaluate all its levels.
    """

    title: str
    runs: int
    trainings: int
    forward_share: tuple[float, ...]
    clean_passes: float


def study(device: torch.device, levels: tuple[float, ...] = LEVELS) -> list[RunConfig]:
    """LeNet-5 with BatchNorm under noise at inference: all points × levels, one repetition, one epoch of training.

    The data set is CIFAR-10 if a GPU evaluates and the images are present, else the digits that the package includes.
    """
    large = device.type != "cpu" and data.status("cifar10").present
    one = RunConfig.from_dict(
        {
            "data.name": "cifar10" if large else "mnist5k",
            "model.name": "lenet5",
            "model.batch_norm": True,
            "noise.in_training": False,
            "noise.std": 1.0,
            "noise.point": 0,
            "training.epochs": 1,
        }
    )
    return [
        RunConfig.from_dict(one.to_flat() | {"noise.point": point, "noise.std": level})
        for point, level in product(range(len(one.points)), levels)
    ]


def measure_inference(configs: list[RunConfig], device: torch.device, rounds: int) -> Inference:
    """Train the network of an inference-only study, evaluate all its runs, and measure the evaluations."""
    monitors = [_evaluated(configs, device) for _ in range(rounds)]
    one = configs[0]
    return Inference(
        title=f"inference only, {one.model.name} with BatchNorm on {one.data.name}, {len(configs)} runs",
        runs=len(configs),
        trainings=len(plan_trainings(configs)),
        forward_share=tuple(monitor.forward_share for monitor in monitors),
        clean_passes=_clean_passes(configs, monitors[-1].samples),
    )


@dataclass
class _Monitor:
    """Monitor of forward passes: their time stamps, and the samples that convolutions and linear layers process.

    It records while ``on``.

    Attributes
    ----------
    marks
        Time stamps of the beginning and the end.
    passes
        Time stamps of the beginning and the end of every forward pass of a pack.
    samples
        Samples processed, of all members and layers together.
    """

    device: torch.device
    product_names: Collection[str]
    on: bool = False
    products: set[nn.Module] = field(default_factory=set)
    marks: list[Any] = field(default_factory=list)
    passes: list[tuple[Any, Any]] = field(default_factory=list)
    samples: int = 0

    def mark(self) -> Any:
        """A time stamp: seconds on a CPU, an event on a GPU."""
        if self.device.type != "cuda":
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record(torch.cuda.current_stream(self.device))
        return event

    def seconds(self, start: Any, end: Any) -> float:
        """Seconds between two time stamps."""
        if self.device.type != "cuda":
            return float(end - start)
        torch.cuda.synchronize(self.device)
        return float(start.elapsed_time(end)) / 1e3

    @property
    def forward_share(self) -> float:
        """Share of the time between the marks that is spent in forward passes."""
        begin, end = self.marks
        assert self.passes, "no forward pass of a pack was seen"
        return sum(self.seconds(*one) for one in self.passes) / self.seconds(begin, end)

    @contextmanager
    def hooks(self) -> Iterator[None]:
        """Hooks on all modules that record the forward passes while ``on``."""
        starts: list[Any] = []

        def before(module: nn.Module, inputs: Any) -> None:
            if self.on and isinstance(module, Pack):
                self.products.update(module.layers[name] for name in self.product_names)
                starts.append(self.mark())

        def after(module: nn.Module, inputs: Any, output: Tensor) -> None:
            if self.on and isinstance(module, Pack):
                self.passes.append((starts.pop(), self.mark()))
            elif self.on and module in self.products and not (on_cpu and isinstance(module, PackedConv2d)):
                self.samples += output.shape[0] * output.shape[1]

        def counted_rows(module: PackedConv2d, x: Tensor) -> list[Tensor]:
            if self.on and module in self.products:
                self.samples += len(module.weight) * x.shape[1]
            return rows(module, x)

        handles = register_module_forward_pre_hook(before), register_module_forward_hook(after)
        rows, on_cpu = PackedConv2d.rows, self.device.type == "cpu"  # on a CPU the fused layers call it directly
        PackedConv2d.rows = counted_rows  # type: ignore[method-assign, assignment]
        try:
            yield
        finally:
            PackedConv2d.rows = rows  # type: ignore[method-assign]
            for handle in handles:
                handle.remove()


def _evaluated(configs: list[RunConfig], device: torch.device) -> _Monitor:
    """Monitor the evaluations, from the end of training until all runs have their results."""
    products = (name for name, layer in _network(configs[0]).named_children() if _is_product(layer))
    monitor = _Monitor(device, tuple(products))

    def progress(now: Progress) -> None:
        if now.epochs_done == now.epochs_total and not monitor.marks:
            monitor.on = True
            monitor.marks.append(monitor.mark())

    with monitor.hooks():
        for _, outcome in train_each(configs, device=device, processes=1, progress=progress):
            if isinstance(outcome, Failure):
                raise UserError(f"bench: a run of the inference-only study failed: {outcome.error}")
    monitor.marks.append(monitor.mark())
    return monitor


def _clean_passes(configs: list[RunConfig], samples: int) -> float:
    """Computations of the part before a noise point, on average, from the samples that all products have processed."""
    after = _products_after(configs[0])
    validation = len(data.load(configs[0].data.name).validation_labels)
    noisy = validation * sum(after[_point(config)] for config in configs)
    least = validation * sum(after[0] - after[point] for point in {_point(config) for config in configs})
    return (samples - noisy) / least


def _products_after(config: RunConfig) -> list[int]:
    """The number of convolutions and linear layers behind each noise point."""
    behind, products = [], 0
    for layer in reversed(_network(config)):
        products += _is_product(layer)
        if isinstance(layer, NoisePoint):
            behind.append(products)
    return behind[::-1]


def _network(config: RunConfig) -> nn.Sequential:
    with torch.device("meta"):
        return build(config.model.name, config.data.shape, config.data.classes, config.model.batch_norm)


def _is_product(layer: nn.Module) -> bool:
    return isinstance(layer, nn.Conv2d | nn.Linear)


def _point(config: RunConfig) -> int:
    assert isinstance(config.noise.point, int)
    return config.noise.point
