"""An inference-only walking study of one model: what is trained for it, and what its evaluations spend time on."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook

from experiments.benchmark.peers.cases import LEVELS
from experiments.errors import UserError
from walking_noise import Failure, Progress, RunConfig, data, train_each
from walking_noise.models import build
from walking_noise.models.noise_points import NoisePoint
from walking_noise.pack.pack import Pack
from walking_noise.runtime.planner import plan_trainings


@dataclass(frozen=True)
class Inference:
    """What was measured of the study.

    Attributes
    ----------
    runs, trainings
        Planned runs, and networks trained for them.
    forward_share
        Of the time of all evaluations, that in forward passes, noise included; one value per round.
    clean_passes
        Times that the activations before a noise point were computed for all the levels there, on average.
    """

    title: str
    runs: int
    trainings: int
    forward_share: tuple[float, ...]
    clean_passes: float


def study(device: torch.device, levels: tuple[float, ...] = LEVELS) -> list[RunConfig]:
    """LeNet-5 with BatchNorm under noise at inference: all points × levels, one repetition, one epoch of training.

    On CIFAR-10 where a GPU evaluates and the images are here, else on the digits that are always here.
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
        replace(one, noise=replace(one.noise, point=point, std=level))
        for point, level in product(range(len(one.points)), levels)
    ]


def measure_inference(configs: list[RunConfig], device: torch.device, rounds: int) -> Inference:
    """Train the one network of an inference-only study and evaluate all its runs, and watch that."""
    watches = [_evaluated(configs, device) for _ in range(rounds)]
    one = configs[0]
    return Inference(
        title=f"inference only, {one.model.name} with BatchNorm on {one.data.name}, {len(configs)} runs",
        runs=len(configs),
        trainings=len(plan_trainings(configs)),
        forward_share=tuple(watch.forward_share for watch in watches),
        clean_passes=_clean_passes(configs, watches[-1].samples),
    )


@dataclass
class _Watch:
    """Marks on the time of the device, and samples that went through convolutions and linear layers, while ``on``.

    Attributes
    ----------
    marks
        At the beginning and the end.
    passes
        The same of every forward pass of a pack.
    samples
        Of all members and layers together.
    """

    device: torch.device
    product_names: Collection[str]
    on: bool = False
    products: set[nn.Module] = field(default_factory=set)
    marks: list[Any] = field(default_factory=list)
    passes: list[tuple[Any, Any]] = field(default_factory=list)
    samples: int = 0

    def mark(self) -> Any:
        if self.device.type != "cuda":
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record(torch.cuda.current_stream(self.device))
        return event

    def seconds(self, start: Any, end: Any) -> float:
        if self.device.type != "cuda":
            return float(end - start)
        torch.cuda.synchronize(self.device)
        return float(start.elapsed_time(end)) / 1e3

    @property
    def forward_share(self) -> float:
        begin, end = self.marks
        assert self.passes, "no forward pass of a pack was seen"
        return sum(self.seconds(*one) for one in self.passes) / self.seconds(begin, end)

    @contextmanager
    def watching(self) -> Iterator[None]:
        begun: list[Any] = []

        def before(module: nn.Module, inputs: Any) -> None:
            if self.on and isinstance(module, Pack):
                self.products.update(module.layers[name] for name in self.product_names)
                begun.append(self.mark())

        def after(module: nn.Module, inputs: Any, output: Tensor) -> None:
            if self.on and isinstance(module, Pack):
                self.passes.append((begun.pop(), self.mark()))
            elif self.on and module in self.products:
                self.samples += output.shape[0] * output.shape[1]

        hooks = register_module_forward_pre_hook(before), register_module_forward_hook(after)
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()


def _evaluated(configs: list[RunConfig], device: torch.device) -> _Watch:
    """Watch the evaluations, from the end of training until all runs have their results."""
    products = (name for name, layer in _network(configs[0]).named_children() if _is_product(layer))
    watch = _Watch(device, tuple(products))

    def progress(now: Progress) -> None:
        if now.epochs_done == now.epochs_total and not watch.marks:
            watch.on = True
            watch.marks.append(watch.mark())

    with watch.watching():
        for _, outcome in train_each(configs, device=device, processes=1, progress=progress):
            if isinstance(outcome, Failure):
                raise UserError(f"bench: a run of the inference-only study failed: {outcome.error}")
    watch.marks.append(watch.mark())
    return watch


def _clean_passes(configs: list[RunConfig], samples: int) -> float:
    """From the samples that went through all products: how often the part before a noise point was computed."""
    after = _products_after(configs[0])
    validated = len(data.load(configs[0].data.name).validation_labels)
    noisy = validated * sum(after[_point(config)] for config in configs)
    least = validated * sum(after[0] - after[point] for point in {_point(config) for config in configs})
    return (samples - noisy) / least


def _products_after(config: RunConfig) -> list[int]:
    """The convolutions and linear layers behind each noise point."""
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
