"""Memory estimate of a run of a pack, against the memory that real packs use."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.walking_noise.conftest import part
from tests.walking_noise.parts import new_models
from walking_noise import RunConfig, data
from walking_noise.evaluation.shared_prefix import BLOCK
from walking_noise.runtime.sizing.capacity import bytes_per_run
from walking_noise.runtime.sizing.memory_estimate import estimate_memory
from walking_noise.training.trainer import train_pack

ROOT = Path(__file__).parents[3]
CPU, GPU = torch.device("cpu"), torch.device("cuda")
MODELS: list[dict[str, Any]] = [
    {"model.name": "mlp", "model.batch_norm": True},
    {"model.name": "lenet5", "model.batch_norm": True},
    {"model.name": "lenet5"},
]
SPREAD = 1.01
"""Largest of eight measurements of one pack's growth over the estimate; the smallest was 0.997."""
MIXED = {"noise.kind": "mixed", "noise.std_mul": 0.1, "noise.std_add": 0.1}


def run(**settings: Any) -> RunConfig:
    return RunConfig.from_dict(settings)


def test_the_estimate_of_an_mlp_by_hand() -> None:
    """The MLP without BatchNorm: the tensors that each product, factor and ReLU keeps for its gradient."""
    estimated = estimate_memory(run(**{"model.name": "mlp"}))
    parameters = sum(parameter.numel() for parameter in run(**{"model.name": "mlp"}).initial_network().parameters())
    assert estimated.network == 4 * parameters
    assert estimated.persistent == 3 * 4 * parameters
    noisy_input, hidden, batch = 784, 64, 128
    saved = noisy_input + 3 * 4 * hidden  # per layer: a factor, the output of the ReLU, its factor, the noisy output
    assert estimated.step > 4 * batch * saved
    assert estimated.block >= 4 * BLOCK * 3 * 784  # an input, its noise, and their sum


@pytest.mark.parametrize(("name", "batch_norm"), [("residual", True), ("patch_transformer", False)])
def test_the_estimate_of_a_new_model(name: str, batch_norm: bool) -> None:
    with new_models():
        config = run(**{"model.name": name, "model.batch_norm": batch_norm})
        parameters = sum(parameter.numel() for parameter in config.initial_network().parameters())
        estimated, points = estimate_memory(config), len(config.points)
    assert estimated.persistent >= 3 * 4 * parameters
    assert estimated.step > 4 * 128 * (784 + 10 * points)
    assert estimated.block > 4 * BLOCK * 3 * 784


@pytest.mark.parametrize("model", MODELS, ids=lambda model: "-".join(map(str, model.values())))
def test_only_the_memory_of_a_step_grows_with_the_batch_size(model: dict[str, Any]) -> None:
    small, large, twice = (estimate_memory(run(**model, **{"training.batch_size": size})) for size in (64, 128, 256))
    assert twice.step == pytest.approx(2 * large.step, rel=0.05)
    assert large.step == pytest.approx(2 * small.step, rel=0.1)
    assert (small.network, small.persistent, small.block) == (large.network, large.persistent, large.block)


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS[:2], ids=["mlp", "lenet5"])
@pytest.mark.parametrize(("what", "factor"), [("train", 1.3), ("evaluate", 2.5)])
def test_real_packs_use_at_most_the_estimate_and_not_much_less(what: str, factor: float, model: dict[str, Any]) -> None:
    """Memory per run, from the growth of a process between packs of 4 and of 16, with mixed noise at every point."""
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "0"}  # free memory at once
    command = [sys.executable, "-m", "tests.walking_noise.training.one_step", what, repr({**model, **MIXED})]

    def growth() -> float:
        finished = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=ROOT, check=True)
        of_4, of_16 = map(int, finished.stdout.split())
        return (of_16 - of_4) / 12

    estimated = estimate_memory(run(**model), CPU)
    estimate = estimated.persistent + estimated.step if what == "train" else estimated.network + estimated.block
    each = growth()
    for _ in range(2):  # other memory of the process only adds to the peak
        each = each if each <= SPREAD * estimate else min(each, growth())
    assert each <= SPREAD * estimate
    assert estimate <= factor * each


@pytest.mark.gpu
@pytest.mark.parametrize("model", MODELS, ids=lambda model: "-".join(map(str, model.values())))
def test_packs_on_a_gpu_use_at_most_the_estimate_and_not_much_less(model: dict[str, Any]) -> None:
    """From the first step to the last evaluation, including the CUDA graph."""
    digits = part(data.load("mnist5k"), 1024, BLOCK)

    def peak(runs: int) -> int:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        train_pack([run(**model, **MIXED, **{"training.epochs": 1, "seed": seed}) for seed in range(runs)], digits, GPU)
        return torch.cuda.max_memory_allocated()

    each = (peak(48) - peak(16)) / 32
    assert each <= bytes_per_run(run(**model)) <= 6 * each
