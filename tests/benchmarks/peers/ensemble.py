"""Ensemble: the runs of a pack trained together in a way that a user would write with a library."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from itertools import count
from typing import Protocol

import torch
from torch import Tensor
from torch.func import stack_module_state

from tests.benchmarks.peers.usual_training import Noise, plain_network
from walking_noise import RunConfig
from walking_noise.pack.stacking import StackedState
from walking_noise.reproducibility import stream_generator

TITLES = {"d": "torch.func.vmap", "d'": "torch.func.vmap, compiled", "e": "JAX, vmap and scan, jitted"}
"""The ways, by the peer's name."""


class Ensemble(Protocol):
    """K runs that train together; a mini-batch is shared by all of them, or each has its own.

    Attributes
    ----------
    configs
        The runs; they have one seed, or a seed each.
    chunk
        Number of training steps per call of :meth:`train`.
    """

    configs: Sequence[RunConfig]
    chunk: int

    def reset(self, configs: Sequence[RunConfig], noisy: bool = True) -> None:
        """Start again with the weights and levels of other runs; with the level 0 unless ``noisy``."""

    def train(self, samples: Tensor) -> Tensor:
        """Train on the training samples with indices ``(chunk, 1 or K, batch)``; return the losses ``(chunk, K)``."""

    def logits(self, x: Tensor, training: bool) -> Tensor:
        """The logits ``(K, B, classes)`` of inputs ``(B, …)``, with BatchNorm in training or in evaluation mode."""

    def buffers(self) -> StackedState:
        """The statistics of BatchNorm and the levels, ``(K, …)``, by name."""


def missing(name: str) -> str | None:
    """What this machine lacks for the way to train; None: nothing."""
    if name == "d'":
        from torch._inductor.cpp_builder import get_cpp_compiler
        from torch._inductor.exc import InvalidCxxCompiler

        try:
            get_cpp_compiler()
        except InvalidCxxCompiler:
            return "no C++ compiler was found"
    return "JAX is not installed" if name == "e" and find_spec("jax") is None else None


def initial_state(configs: Sequence[RunConfig], noisy: bool) -> tuple[StackedState, StackedState]:
    """The parameters and the buffers of plain networks, ``(K, …)``, with the level 0 unless ``noisy``."""
    networks = [plain_network(config) for config in configs]
    for layer in (layer for network in networks for layer in network if isinstance(layer, Noise) and not noisy):
        layer.add.zero_()
    parameters, buffers = stack_module_state(networks)
    return {name: parameter.detach() for name, parameter in parameters.items()}, buffers


def train_ensemble(ensemble: Ensemble, samples: int, after_steps: Callable[[int], None]) -> None:
    """Train from the beginning until ``after_steps``, which gets a number of steps, raises."""
    ensemble.reset(ensemble.configs)
    batches = _batches(ensemble, samples)
    while True:
        ensemble.train(torch.stack([next(batches) for _ in range(ensemble.chunk)]))
        after_steps(ensemble.chunk)


def _batches(ensemble: Ensemble, samples: int) -> Iterator[Tensor]:
    """Indices ``(1 or K, batch)`` of training samples, in the order of the trainer; short batches are left out."""
    size = ensemble.configs[0].training.batch_size
    seeds = list(dict.fromkeys(config.seed for config in ensemble.configs))
    for epoch in count():
        orders = [torch.randperm(samples, generator=stream_generator(seed, "order", epoch)) for seed in seeds]
        yield from (batch for batch in torch.stack(orders).split(size, 1) if batch.shape[1] == size)
