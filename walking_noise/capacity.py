"""How many runs a device trains at once."""

from __future__ import annotations

import os

import torch

from walking_noise import models
from walking_noise.config import RunConfig
from walking_noise.errors import refused
from walking_noise.memory import need
from walking_noise.passage import BLOCK

CPU_PACK = 16
"""The most networks in a pack on one core: enough to amortise torch's calls."""
CPU_ACTIVATIONS = 230e6
"""Bytes of activations of a mini-batch, over all layers and networks, beyond which a pack on one core gets slower."""
CPU_EVALUATED = 50e6
"""As :data:`CPU_ACTIVATIONS`, of a block of samples at inference, where all of it should stay in the caches."""
CPU_ROUNDS = 4
"""Packs per core that a worker claims on a CPU, so that starting a process is paid by many runs."""
GPU_PACK_LIMIT = 512
MEMORY_SHARE = 0.8
"""Share of a GPU's free memory that a pack may plan with."""
SET_ASIDE = 2**30
"""Bytes of it for the data set, for audits and for the work space of libraries."""


def default_device() -> torch.device:
    """A GPU if torch sees one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def device_called(name: torch.device | str) -> torch.device:
    """The device of that name.

    Raises
    ------
    ConfigError
        There is none here.
    """
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError):
        raise refused("device", name, "there is no such device here") from None
    return device


def lanes(device: torch.device) -> int:
    """Packs that train side by side: one per core on a CPU, one on a GPU."""
    if device.type != "cpu":
        return 1
    cores = len(os.sched_getaffinity(0))
    return min(cores, int(os.environ.get("SLURM_CPUS_PER_TASK", cores)))  # Slurm may allot fewer than it binds to


def trained_together(config: RunConfig, device: torch.device) -> int:
    """The most networks like this run's that train as one."""
    if device.type == "cpu":
        return _at_once(CPU_PACK, CPU_ACTIVATIONS, config.training.batch_size * _bytes_per_sample(config))
    return _at_once(GPU_PACK_LIMIT, usable_memory(device), bytes_per_run(config))


def evaluated_together(config: RunConfig, device: torch.device) -> int:
    """The most runs like this one, on networks that are trained, that go through the layers as one."""
    if device.type == "cpu":
        return _at_once(CPU_PACK, CPU_EVALUATED, BLOCK * _bytes_per_sample(config))
    needed = need(config)
    return _at_once(GPU_PACK_LIMIT, usable_memory(device), needed.network + needed.block)


def default_pack_size(config: RunConfig, device: torch.device | None = None) -> int:
    """The networks a worker takes on at once: as many as fill the device for a while."""
    device = device or default_device()
    together = trained_together(config, device)
    return together if device.type != "cpu" else together * lanes(device) * CPU_ROUNDS


def bytes_per_run(config: RunConfig) -> int:
    """The memory that one run of a pack takes on a GPU, in bytes.

    The step that is recorded keeps its memory, beside which others, and evaluations, are done. For checkpoints the run
    is also held as it was when its last epoch ended.
    """
    needed = need(config)
    return 2 * needed.kept + needed.step + max(needed.step, needed.block)


def usable_memory(device: torch.device) -> float:
    """Bytes of a GPU's memory that runs may fill: of what is free, or kept by torch for later, less a margin."""
    free, _ = torch.cuda.mem_get_info(device)
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return MEMORY_SHARE * (free + kept) - SET_ASIDE


def _at_once(most: int, available: float, each: float) -> int:
    return max(1, min(most, int(available / each)))


def _bytes_per_sample(config: RunConfig) -> int:
    model, data = config.model, config.data
    return 4 * models.outline(model.name, data.shape, data.classes, model.batch_norm).activations
