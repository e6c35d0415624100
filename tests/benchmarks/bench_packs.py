"""How much faster a CPU trains runs in packs than one by one, per core: ``make bench``.

Both ways use the same trainer on the same runs, in turn, so that the ratio holds where the machine's speed drifts.
"""

from __future__ import annotations

import statistics
import time

import pytest
import torch

from walking_noise import RunConfig, capacity, data
from walking_noise.training import train_pack

CPU = torch.device("cpu")
ROUNDS = 3


def seconds_per_run_step(configs: list[RunConfig], together: int, samples: data.DataSet) -> float:
    started = time.perf_counter()
    for first in range(0, len(configs), together):
        train_pack(configs[first : first + together], samples, CPU)
    steps = -(-len(samples.train_labels) // configs[0].training.batch_size) * configs[0].training.epochs
    return (time.perf_counter() - started) / len(configs) / steps


@pytest.mark.parametrize("batch_norm", [False, True], ids=["plain", "batch_norm"])
@pytest.mark.parametrize("noise", ["global", "walking"])
@pytest.mark.parametrize("model", ["mlp", "lenet5"])
def test_packed_against_run_by_run(model: str, noise: str, batch_norm: bool) -> None:
    torch.set_num_threads(1)
    runs = capacity.CPU_PACK if model == "mlp" else 2
    samples = data.load("mnist5k")
    settings = {"model.name": model, "model.batch_norm": batch_norm, "training.epochs": 1 if model == "lenet5" else 4}
    configs = [
        RunConfig.from_dict(
            {**settings, "noise.std": 0.5, "noise.point": "global" if noise == "global" else 3, "seed": i}
        )
        for i in range(runs)
    ]
    together = min(runs, capacity.trained_together(configs[0], CPU))
    seconds_per_run_step(configs, runs, samples)
    alone, packed = zip(
        *(
            (seconds_per_run_step(configs, 1, samples), seconds_per_run_step(configs, together, samples))
            for _ in range(ROUNDS)
        ),
        strict=True,
    )
    ratio = statistics.median(one / other for one, other in zip(alone, packed, strict=True))
    print(
        f"\n{model}, {noise} noise, {'with' if batch_norm else 'without'} BatchNorm: run by run "
        f"{statistics.median(alone) * 1e3:.2f} ms, in packs of {together} {statistics.median(packed) * 1e3:.2f} ms "
        f"per run and step; packed {ratio:.2f} times as fast"
    )
