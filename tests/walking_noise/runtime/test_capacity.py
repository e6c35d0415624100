"""How many runs a device trains at once."""

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


def test_on_a_cpu_packs_of_larger_activations_are_smaller() -> None:
    lenet5 = run(model__name="lenet5", data__name="cifar10", model__batch_norm=True)
    assert capacity.training_pack_size(run(model__name="mlp"), CPU) == capacity.CPU_PACK
    assert 1 < capacity.training_pack_size(lenet5, CPU) < capacity.CPU_PACK
    large = run(model__name="lenet5", data__name="cifar10", training__batch_size=10_000)
    assert capacity.training_pack_size(large, CPU) == 1


def test_a_worker_on_a_cpu_takes_enough_for_all_its_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0, 3, 5})
    assert capacity.worker_processes(CPU) == 3
    for name in ("mlp", "lenet5"):
        together = capacity.training_pack_size(run(model__name=name), CPU)
        assert default_pack_size(run(model__name=name), CPU) == 3 * capacity.CPU_ROUNDS * together


@pytest.mark.parametrize(("allotted", "lanes"), [("2", 2), ("8", 3)])
def test_no_more_cores_are_used_than_slurm_allots(allotted: str, lanes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0, 3, 5})
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", allotted)
    assert capacity.worker_processes(CPU) == lanes
    assert capacity.worker_processes(GPU) == 1


@pytest.mark.parametrize("free", [0, 10**8, 10**9, 10**10, 10**12])
@pytest.mark.parametrize("name", ["mlp", "lenet5"])
def test_a_pack_on_a_gpu_fits_its_free_memory(free: int, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, 10**12))
    config = run(model__name=name)
    size = capacity.training_pack_size(config, GPU)
    assert 1 <= size <= capacity.GPU_PACK_LIMIT
    planned = capacity.MEMORY_SHARE * free - capacity.MEMORY_RESERVE
    if size > 1:
        assert size * capacity.bytes_per_run(config) <= planned < free
    if size < capacity.GPU_PACK_LIMIT:
        assert (size + 1) * capacity.bytes_per_run(config) > planned
    assert default_pack_size(config, GPU) == size
    assert capacity.worker_processes(GPU) == 1
    assert size <= capacity.evaluation_group_size(config, GPU) <= capacity.GPU_PACK_LIMIT


def test_what_torch_keeps_for_later_counts_as_free(monkeypatch: pytest.MonkeyPatch) -> None:
    config, sizes = run(model__name="lenet5"), []
    for free, reserved, allocated in ((4 * 10**9, 0, 0), (10**9, 4 * 10**9, 10**9), (10**9, 4 * 10**9, 4 * 10**9)):
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device, free=free: (free, 10**12))
        monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device, reserved=reserved: reserved)
        monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device, allocated=allocated: allocated)
        sizes.append(capacity.training_pack_size(config, GPU))
    assert sizes[0] == sizes[1] > sizes[2]


def test_on_a_cpu_what_is_evaluated_at_once_stays_in_the_caches() -> None:
    assert 1 < capacity.evaluation_group_size(run(model__name="mlp"), CPU) <= capacity.CPU_PACK
    assert capacity.evaluation_group_size(run(model__name="lenet5", data__name="cifar10"), CPU) == 1


@pytest.mark.parametrize("name", ["mlp", "lenet5"])
def test_a_recorded_step_stands_beside_steps_and_evaluations(name: str) -> None:
    config = run(model__name=name)
    needed = estimate_memory(config)
    assert capacity.bytes_per_run(config) >= needed.persistent + 2 * needed.step
    assert capacity.bytes_per_run(config) >= needed.persistent + needed.step + needed.block


def test_small_batches_do_not_hide_what_evaluation_takes() -> None:
    """A pack is evaluated in blocks of fixed size, however small its batches."""
    small, block = run(training__batch_size=2), run(training__batch_size=BLOCK)
    assert capacity.bytes_per_run(small) > 0.25 * capacity.bytes_per_run(block)
