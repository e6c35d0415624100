"""Out of memory: packs and evaluations are run again in halves, and later ones are smaller from the start."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import pytest
import torch

from tests.walking_noise.running import SingleRuns, numbers, outcomes, run
from walking_noise import Failure, Progress, RunConfig
from walking_noise.data import DataSet
from walking_noise.errors import ran_out_of_memory
from walking_noise.pack.pack import Pack
from walking_noise.runtime import executor
from walking_noise.runtime.sizing.memory_limits import MemoryLimits
from walking_noise.training.member import TrainedNetwork
from walking_noise.training.trainer import train_pack

ERRORS = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9"),
    MemoryError(),
]
single_runs = SingleRuns()
NOISY = [run(noise__std=std / 10, training__epochs=1) for std in range(1, 13)]


@pytest.fixture(autouse=True)
def few(only_fewer_digits: DataSet) -> DataSet:
    return only_fewer_digits


class Memory:
    """A fake memory, in which the layers of a limited number of runs fit, in training and at inference."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.in_training, self.at_inference, self.error = 1000, 1000, ERRORS[0]
        self.tried: list[int] = []
        patch.setattr(Pack, "forward", self._limited(Pack.forward))
        patch.setattr(executor, "train_pack", self._recorded)

    def _limited(self, forward: Any) -> Any:
        def limited(pack: Pack, *inputs: Any, **kwargs: Any) -> torch.Tensor:
            runs = len(next(pack.parameters()))
            if runs > (self.in_training if pack.training else self.at_inference):
                raise self.error
            y: torch.Tensor = forward(pack, *inputs, **kwargs)
            return y

        return limited

    def _recorded(self, configs: Sequence[RunConfig], *args: Any, **kwargs: Any) -> list[TrainedNetwork]:
        self.tried.append(len(configs))
        return train_pack(configs, *args, **kwargs)


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Memory:
    return Memory(monkeypatch)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_a_pack_that_runs_out_of_memory_is_halved_and_later_packs_are_smaller(
    error: Exception, memory: Memory, caplog: pytest.LogCaptureFixture
) -> None:
    single = single_runs(NOISY)
    memory.tried.clear()
    memory.in_training, memory.error = 3, error
    seen: list[Progress] = []
    with caplog.at_level(logging.WARNING):
        ended = outcomes(NOISY, pack_size=6, progress=seen.append)
    assert [numbers(outcome) for outcome in ended] == single
    assert memory.tried == [6, 3, 3, 3, 3]
    assert caplog.messages == ["out of memory with 6 networks trained at once; from now on at most 3"]
    assert (seen[-1].runs_done, seen[-1].epochs_done) == (12, 12)


@pytest.mark.parametrize(
    ("fitting", "tried"),
    [(1, [12, 6, 3, 2, 1]), pytest.param(2, [12, 6, 3], marks=pytest.mark.slow), (5, [12, 6]), (12, [])],
)
def test_sizes_are_halved_until_they_fit(
    fitting: int, tried: list[int], memory: Memory, caplog: pytest.LogCaptureFixture
) -> None:
    memory.in_training = fitting
    ended = outcomes(NOISY, pack_size=12)
    assert not [outcome for outcome in ended if isinstance(outcome, Failure)]
    assert sum(size for size in memory.tried if size <= fitting) == 12
    assert [size for size in memory.tried if size > fitting] == [size for size in tried if size > fitting]
    assert len(caplog.messages) == len([size for size in tried if size > fitting])


def test_a_learned_limit_sizes_the_packs_of_later_calls(memory: Memory, caplog: pytest.LogCaptureFixture) -> None:
    limits = MemoryLimits()
    memory.in_training = 3
    outcomes(NOISY, pack_size=6, memory_limits=limits)
    assert limits.limit("networks trained", NOISY[0].pack_key, 6) == 3
    caplog.clear()
    memory.tried.clear()
    known = MemoryLimits({NOISY[0].pack_key: 2})
    outcomes(NOISY, pack_size=6, memory_limits=known)
    assert memory.tried == [2] * 6
    assert caplog.messages == []
    assert known.limit("networks trained", NOISY[0].pack_key, 6) == 2


def test_packs_of_another_kind_are_not_limited(memory: Memory) -> None:
    others = [run(noise__std=std / 10, training__epochs=2) for std in range(1, 7)]
    limits = MemoryLimits()
    limits.halve("networks trained", NOISY[0].pack_key, 6)
    assert limits.limit("networks trained", NOISY[0].pack_key, 6) == 3
    assert limits.limit("networks trained", others[0].pack_key, 6) == 6
    assert limits.limit("runs evaluated", NOISY[0].pack_key, 6) == 6
    memory.in_training = 100
    outcomes([*NOISY[:6], *others], pack_size=6)
    assert memory.tried == [6, 6]


@pytest.mark.parametrize(
    ("fitting", "halved"),
    [(1, [12, 6, 3, 2]), pytest.param(2, [12, 6, 3], marks=pytest.mark.slow), (5, [12, 6]), (12, [])],
)
def test_groups_of_evaluations_that_run_out_of_memory_are_halved(
    fitting: int, halved: list[int], memory: Memory, caplog: pytest.LogCaptureFixture
) -> None:
    study = [run(noise__std=std / 10, noise__point=3, noise__in_training=False) for std in range(1, 13)]
    single = single_runs(study)
    memory.tried.clear()
    memory.at_inference = fitting
    ended = outcomes(study)
    assert [numbers(outcome) for outcome in ended] == single
    assert memory.tried == [1]
    line = "out of memory with {} runs evaluated at once; from now on at most {}"
    assert caplog.messages == [line.format(size, (size + 1) // 2) for size in halved]


def test_a_single_network_that_runs_out_of_memory_fails(memory: Memory, caplog: pytest.LogCaptureFixture) -> None:
    memory.in_training = 0
    (failure,) = outcomes(NOISY[:1])
    assert isinstance(failure, Failure)
    assert failure.error == "OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB."
    assert memory.tried == [1, 1]
    assert caplog.messages == []


def test_out_of_memory_errors_are_distinguished_from_others() -> None:
    assert all(ran_out_of_memory(error) for error in ERRORS)
    assert ran_out_of_memory(torch.AcceleratorError("CUDA error: out of memory"))
    assert not ran_out_of_memory(torch.AcceleratorError("CUDA error: an illegal memory access was encountered"))
    assert not ran_out_of_memory(ZeroDivisionError("out of memory"))


@pytest.mark.gpu
def test_a_pack_that_runs_out_of_memory_on_a_gpu_is_halved(caplog: pytest.LogCaptureFixture) -> None:
    """torch may use only a small part of the memory."""
    total = torch.cuda.get_device_properties(0).total_memory
    configs = [run(model__name="lenet5", noise__std=std / 100) for std in range(1, 65)]
    torch.cuda.set_per_process_memory_fraction(0.5e9 / total)
    try:
        ended = outcomes(configs, device="cuda", pack_size=64)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert not [outcome for outcome in ended if isinstance(outcome, Failure)]
    assert "out of memory with 64 networks trained at once; from now on at most 32" in caplog.messages
