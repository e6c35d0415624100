"""How many runs a device trains at once."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from walking_noise import RunConfig, capacity, default_pack_size
from walking_noise.evaluation import BLOCK
from walking_noise.models import build

CPU, GPU = torch.device("cpu"), torch.device("cuda")


def run(**settings: Any) -> RunConfig:
    return RunConfig.from_dict({name.replace("__", "."): value for name, value in settings.items()})


def test_on_a_cpu_networks_with_convolutions_train_one_by_one() -> None:
    assert capacity.trained_together(run(model__name="lenet5"), CPU) == 1
    assert capacity.trained_together(run(model__name="mlp"), CPU) == capacity.CPU_PACK > 1


def test_a_worker_on_a_cpu_takes_enough_for_all_its_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0, 3, 5})
    assert capacity.lanes(CPU) == 3
    for name in ("mlp", "lenet5"):
        together = capacity.trained_together(run(model__name=name), CPU)
        assert default_pack_size(run(model__name=name), CPU) == 3 * capacity.CPU_ROUNDS * together


@pytest.mark.parametrize(("allotted", "lanes"), [("2", 2), ("8", 3)])
def test_no_more_cores_are_used_than_slurm_allots(allotted: str, lanes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0, 3, 5})
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", allotted)
    assert capacity.lanes(CPU) == lanes
    assert capacity.lanes(GPU) == 1


@pytest.mark.parametrize("free", [0, 10**8, 10**9, 10**10, 10**12])
@pytest.mark.parametrize("name", ["mlp", "lenet5"])
def test_a_pack_on_a_gpu_fits_its_free_memory(free: int, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, 10**12))
    config = run(model__name=name)
    size = capacity.trained_together(config, GPU)
    assert 1 <= size <= capacity.GPU_PACK_LIMIT
    if size > 1:
        assert size * capacity.bytes_per_run(config) <= capacity.MEMORY_SHARE * free < free
    if size < capacity.GPU_PACK_LIMIT:
        assert (size + 1) * capacity.bytes_per_run(config) > capacity.MEMORY_SHARE * free
    assert default_pack_size(config, GPU) == size
    assert capacity.lanes(GPU) == 1


@pytest.mark.parametrize(("name", "activations"), [("mlp", 784 + 6 * 64 + 784 + 10), ("lenet5", 784)])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_the_estimate_counts_activations_and_parameters(name: str, activations: int, batch_norm: bool) -> None:
    network = build(name, (1, 28, 28), 10, batch_norm)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    config = run(model__name=name, model__batch_norm=batch_norm)
    assert capacity.bytes_per_run(config) > 4 * 4 * parameters + 4 * config.training.batch_size * activations
    twice = run(model__name=name, model__batch_norm=batch_norm, training__batch_size=256)
    assert capacity.bytes_per_run(twice) < 2 * capacity.bytes_per_run(config) < 2.5 * capacity.bytes_per_run(twice)


def test_small_batches_do_not_hide_what_evaluation_takes() -> None:
    """A pack is evaluated in blocks of fixed size, however small its batches."""
    small, block = run(training__batch_size=2), run(training__batch_size=BLOCK)
    assert capacity.bytes_per_run(small) > 0.25 * capacity.bytes_per_run(block)
