"""Capacity of a device: pack sizes and numbers of processes."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from walking_noise import RunConfig, default_pack_size
from walking_noise.evaluation.shared_prefix import BLOCK
from walking_noise.runtime.sizing import capacity
from walking_noise.runtime.sizing.memory_estimate import estimate_memory

CPU, GPU = torch.device("cpu"), torch.device("cuda")


def run(**settings: Any) -> RunConfig:
    return RunConfig.from_dict({name.replace("__", "."): value for name, value in settings.items()})


def test_packs_with_larger_activations_are_smaller_on_a_cpu() -> None:
    lenet5 = run(model__name="lenet5", data__name="cifar10", model__batch_norm=True)
    assert capacity.training_pack_size(run(model__name="mlp"), CPU) == capacity.CPU_PACK
    assert 1 < capacity.training_pack_size(lenet5, CPU) < capacity.CPU_PACK
    large = run(model__name="lenet5", data__name="cifar10", training__batch_size=10_000)
    assert capacity.training_pack_size(large, CPU) == 1


def test_a_worker_on_a_cpu_leases_packs_for_all_of_its_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0, 3, 5})
    assert capacity.worker_processes(CPU) == 3
    for name in ("mlp", "lenet5"):
        pack_size = capacity.training_pack_size(run(model__name=name), CPU)
        assert default_pack_size(run(model__name=name), CPU) == 3 * capacity.CPU_ROUNDS * pack_size


@pytest.mark.parametrize(("allocated", "processes"), [("2", 2), ("8", 3)])
def test_no_more_cores_are_used_than_slurm_allocates(
    allocated: str, processes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0, 3, 5})
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", allocated)
    assert capacity.worker_processes(CPU) == processes
    assert capacity.worker_processes(GPU) == 1


@pytest.mark.parametrize("free", [0, 10**8, 10**9, 10**10, 10**12])
@pytest.mark.parametrize("name", ["mlp", "lenet5"])
def test_a_pack_on_a_gpu_fits_its_free_memory(free: int, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, 10**12))
    config = run(model__name=name)
    size = capacity.training_pack_size(config, GPU)
    assert 1 <= size <= capacity.GPU_PACK_LIMIT
    usable = capacity.MEMORY_SHARE * free - capacity.MEMORY_RESERVE
    if size > 1:
        assert size * capacity.bytes_per_run(config) <= usable < free
    if size < capacity.GPU_PACK_LIMIT:
        assert (size + 1) * capacity.bytes_per_run(config) > usable
    assert default_pack_size(config, GPU) == size
    assert capacity.worker_processes(GPU) == 1
    assert size <= capacity.evaluation_group_size(config, GPU) <= capacity.GPU_PACK_LIMIT


def test_memory_cached_by_torch_counts_as_free(monkeypatch: pytest.MonkeyPatch) -> None:
    config, sizes = run(model__name="lenet5"), []
    for free, reserved, allocated in ((4 * 10**9, 0, 0), (10**9, 4 * 10**9, 10**9), (10**9, 4 * 10**9, 4 * 10**9)):
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device, free=free: (free, 10**12))
        monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device, reserved=reserved: reserved)
        monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device, allocated=allocated: allocated)
        sizes.append(capacity.training_pack_size(config, GPU))
    assert sizes[0] == sizes[1] > sizes[2]


def test_evaluation_groups_fit_in_the_caches_of_a_cpu() -> None:
    assert 1 < capacity.evaluation_group_size(run(model__name="mlp"), CPU) <= capacity.CPU_PACK
    assert capacity.evaluation_group_size(run(model__name="lenet5", data__name="cifar10"), CPU) == 1


@pytest.mark.parametrize("name", ["mlp", "lenet5"])
def test_the_memory_of_a_cuda_graph_adds_to_that_of_steps_and_evaluations(name: str) -> None:
    config = run(model__name=name)
    needed = estimate_memory(config)
    assert capacity.bytes_per_run(config) >= needed.persistent + 2 * needed.step
    assert capacity.bytes_per_run(config) >= needed.persistent + needed.step + needed.block


def test_with_small_batches_the_memory_of_evaluation_counts() -> None:
    """A pack is evaluated in blocks of fixed size, which may be larger than its batches."""
    small, block = run(training__batch_size=2), run(training__batch_size=BLOCK)
    assert capacity.bytes_per_run(small) > 0.25 * capacity.bytes_per_run(block)
