"""How many runs a device trains at once."""

from __future__ import annotations

import os
from functools import cache
from math import prod

import torch
from torch import nn

from walking_noise import models
from walking_noise.config import RunConfig
from walking_noise.evaluation import BLOCK

CPU_PACK = 16
"""Networks in a pack on one core: enough to amortise torch's calls, few enough for the caches."""
CPU_ROUNDS = 4
"""Packs per core that a worker claims on a CPU, so that starting a process is paid by many runs."""
GPU_PACK_LIMIT = 512
MEMORY_SHARE = 0.8
"""Share of a GPU's free memory that a pack may plan with."""
COPIES = 4
"""Times that activations and parameters are held: value, gradient, noise and work space; Adam's two moments."""


def default_device() -> torch.device:
    """A GPU if torch sees one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def lanes(device: torch.device) -> int:
    """Packs that train side by side: one per core on a CPU, one on a GPU."""
    if device.type != "cpu":
        return 1
    cores = len(os.sched_getaffinity(0))
    return min(cores, int(os.environ.get("SLURM_CPUS_PER_TASK", cores)))  # Slurm may allot fewer than it binds to


def trained_together(config: RunConfig, device: torch.device) -> int:
    """The most networks like this run's that train as one.

    On a CPU a convolution is no faster for many runs than for one, so networks with convolutions train one by one
    there, each on its core.
    """
    if device.type == "cpu":
        return 1 if _has_convolutions(config.model.name, config.data.shape, config.data.classes) else CPU_PACK
    free, _ = torch.cuda.mem_get_info(device)
    fitting = int(MEMORY_SHARE * free / bytes_per_run(config))
    return max(1, min(GPU_PACK_LIMIT, fitting))


def default_pack_size(config: RunConfig, device: torch.device | None = None) -> int:
    """The networks a worker takes on at once: as many as fill the device for a while."""
    device = device or default_device()
    together = trained_together(config, device)
    return together if device.type != "cpu" else together * lanes(device) * CPU_ROUNDS


def bytes_per_run(config: RunConfig) -> int:
    """An estimate of the memory one run of a pack takes on the device, in bytes."""
    model, data = config.model, config.data
    activations, parameters = _elements(model.name, data.shape, data.classes, model.batch_norm)
    samples = max(config.training.batch_size, BLOCK)
    return 4 * COPIES * (samples * activations + parameters)


@cache
def _has_convolutions(model: str, inputs: tuple[int, ...], classes: int) -> bool:
    with torch.device("meta"):
        network = models.build(model, inputs, classes, False)
    return any(isinstance(module, nn.Conv2d) for module in network.modules())


@cache
def _elements(model: str, inputs: tuple[int, ...], classes: int, batch_norm: bool) -> tuple[int, int]:
    """Activations of one sample, over all layers, and parameters of one network."""
    activations, x = prod(inputs), torch.zeros(1, *inputs)
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        network = models.build(model, inputs, classes, batch_norm).eval()
        for layer in network:
            x = layer(x)
            activations += x.numel()
    return activations, sum(parameter.numel() for parameter in network.parameters())
