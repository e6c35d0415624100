"""Capacity of a device: pack sizes, group sizes at evaluation, number of processes."""

from __future__ import annotations

import os

import torch

from walking_noise import models
from walking_noise.config.run_config import RunConfig
from walking_noise.errors import refused
from walking_noise.evaluation.shared_prefix import BLOCK
from walking_noise.runtime.sizing.memory_estimate import estimate_memory

CPU_PACK = 16
"""Maximum number of networks in a pack on one core. More networks do not reduce torch's overhead per run further."""
CPU_ACTIVATIONS = 230e6
"""Maximum bytes of activations of a mini-batch, over all layers and networks of a pack on one core. More is slower."""
CPU_EVALUATED = 50e6
"""The same for a block of samples at inference. Its activations should fit in the caches."""
CPU_ROUNDS = 4
"""Packs per core that a worker leases at once on a CPU, so that many runs share the startup time of a process."""
GPU_PACK_LIMIT = 512
"""Maximum number of networks in a pack on a GPU."""
MEMORY_SHARE = 0.8
"""Fraction of a GPU's free memory that a pack may use."""
MEMORY_RESERVE = 2**30
"""Bytes of a GPU's memory reserved for the data set, for audits and for the workspace of libraries."""


def default_device() -> torch.device:
    """The GPU if torch finds one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def device_by_name(name: torch.device | str) -> torch.device:
    """The device with that name. Raise :class:`ConfigError` if the machine has no such device."""
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError):
        raise refused("device", name, "this machine has no such device") from None
    return device


def worker_processes(device: torch.device) -> int:
    """The number of processes that train packs in parallel: one per core on a CPU, one on a GPU."""
    if device.type != "cpu":
        return 1
    cores = len(os.sched_getaffinity(0))
    return min(cores, int(os.environ.get("SLURM_CPUS_PER_TASK", cores)))  # Slurm may allocate fewer than it binds to


def training_pack_size(config: RunConfig, device: torch.device) -> int:
    """Maximum number of networks in a pack of runs like this one."""
    if device.type == "cpu":
        return _at_once(CPU_PACK, CPU_ACTIVATIONS, config.training.batch_size * _bytes_per_sample(config))
    return _at_once(GPU_PACK_LIMIT, usable_memory(device), bytes_per_run(config))


def evaluation_group_size(config: RunConfig, device: torch.device) -> int:
    """Maximum number of runs like this one that are evaluated together on trained networks."""
    if device.type == "cpu":
        return _at_once(CPU_PACK, CPU_EVALUATED, BLOCK * _bytes_per_sample(config))
    needed = estimate_memory(config)
    return _at_once(GPU_PACK_LIMIT, usable_memory(device), needed.network + needed.block + _noisy_weights(config))


def default_pack_size(
    config: RunConfig, device: torch.device | None = None, limit: int | None = None, processes: int | None = None
) -> int:
    """Number of networks that a worker leases at once. They keep the device busy for some time.

    ``limit``: the largest pack that is known to fit in memory; None if no pack has run out of memory. ``processes``
    train packs in parallel on a CPU; by default as many as on this machine.
    """
    device = device or default_device()
    pack_size = min(training_pack_size(config, device), limit or GPU_PACK_LIMIT)
    return pack_size if device.type != "cpu" else pack_size * (processes or worker_processes(device)) * CPU_ROUNDS


def bytes_per_run(config: RunConfig) -> int:
    """Memory of one run of a pack on a GPU, in bytes.

    The CUDA graph of a step keeps its memory while other steps and evaluations run and need theirs. In addition, there
    may be a snapshot of the run for its checkpoint.
    """
    needed = estimate_memory(config)
    return (
        2 * needed.persistent + needed.step + max(needed.step, needed.block) + _noisy_weights(config) + _teacher(config)
    )


def _noisy_weights(config: RunConfig) -> int:
    """Bytes of the noisy weights of a run, of their noise, and of a copy for autograd; 0 without noise on weights."""
    return 3 * estimate_memory(config).network if config.noise.target == "weights" else 0


def _teacher(config: RunConfig) -> int:
    """Bytes of a run's teacher and its activations; 0 without distillation."""
    needed = estimate_memory(config)
    return needed.network + needed.block if config.distillation.soft_label_share else 0


def usable_memory(device: torch.device) -> float:
    """Bytes of a GPU's memory that runs may use: a fraction of the memory that is free or cached, minus the reserve."""
    free, _ = torch.cuda.mem_get_info(device)
    cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return MEMORY_SHARE * (free + cached) - MEMORY_RESERVE


def _at_once(limit: int, available: float, each: float) -> int:
    """Number of runs that fit in the available memory, at least 1 and at most ``limit``."""
    return max(1, min(limit, int(available / each)))


def _bytes_per_sample(config: RunConfig) -> int:
    """Bytes of the activations of one sample in one network."""
    return 4 * models.summary(config.architecture).activations
