"""Inference-only walking study of one model: its trainings, and the time of its evaluations."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
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
from walking_noise.evaluation.noise_before_product import NoiseBeforeProduct, UnitProducts
from walking_noise.models import Architecture, build
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
    computed_products
        The convolutions and linear layers that were computed for all runs, as a multiple of those that nothing can
        avoid: each once without noise, once for the noise directly in front of it, and once for every run with noise
        further ahead.
    """

    title: str
    runs: int
    trainings: int
    forward_share: tuple[float, ...]
    computed_products: float


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
        computed_products=_computed_products(configs, monitors[-1].samples),
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

        def timed(method: Callable[..., Any]) -> Callable[..., Any]:
            def call(noise: NoiseBeforeProduct, *arguments: Any) -> Any:
                begin = self.mark()
                found = method(noise, *arguments)
                if self.on:
                    self.passes.append((begin, self.mark()))
                if self.on and isinstance(found, UnitProducts):
                    terms = [found.of_values, found.of_factor, found.of_added]
                    self.samples += sum(term.shape[0] * term.shape[1] for term in terms if term is not None)
                return found

            return call

        products, outputs = NoiseBeforeProduct.products, NoiseBeforeProduct.outputs
        handles = register_module_forward_pre_hook(before), register_module_forward_hook(after)
        rows, on_cpu = PackedConv2d.rows, self.device.type == "cpu"  # on a CPU the fused layers call it directly
        PackedConv2d.rows = counted_rows  # type: ignore[method-assign, assignment]
        NoiseBeforeProduct.products = timed(products)  # type: ignore[method-assign]
        NoiseBeforeProduct.outputs = timed(outputs)  # type: ignore[method-assign]
        try:
            yield
        finally:
            PackedConv2d.rows = rows  # type: ignore[method-assign]
            NoiseBeforeProduct.products = products  # type: ignore[method-assign]
            NoiseBeforeProduct.outputs = outputs  # type: ignore[method-assign]
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


def _computed_products(configs: list[RunConfig], samples: int) -> float:
    """The samples that all products have processed, as a multiple of those that nothing can avoid."""
    after, in_front = _products_after(configs[0])
    validation = len(data.load(configs[0].data.name).validation_labels)
    noisy = sum(after[_point(config)] - in_front[_point(config)] for config in configs)
    noise_alone = sum(in_front[point] for point in {_point(config) for config in configs})
    return samples / (validation * (after[0] + noisy + noise_alone))


def _products_after(config: RunConfig) -> tuple[list[int], list[bool]]:
    """The number of products behind each noise point, and whether a product directly follows it."""
    behind, in_front, products, directly = list[int](), list[bool](), 0, False
    for layer in reversed(_network(config)):
        products += _is_product(layer)
        if isinstance(layer, NoisePoint):
            behind.append(products)
            in_front.append(directly)
            directly = False
        elif not isinstance(layer, nn.Flatten):
            directly = _is_product(layer)
    return behind[::-1], in_front[::-1]


def _network(config: RunConfig) -> nn.Sequential:
    with torch.device("meta"):
        return build(Architecture(config.model.name, config.data.shape, config.data.classes, config.model.batch_norm))


def _is_product(layer: nn.Module) -> bool:
    return isinstance(layer, nn.Conv2d | nn.Linear)


def _point(config: RunConfig) -> int:
    assert isinstance(config.noise.point, int)
    return config.noise.point
