"""Arrays have a task for each pack that the planner finds, and keep the runs of a pack together."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from seml.utils import unflatten

from experiments.database.connection import Document
from experiments.plan.demand import demands
from experiments.plan.run_counts import PlannedRun
from experiments.plan.throughput import Device, Kind, Rate
from experiments.submit.task_arrays import TaskArray, task_arrays, worker_pack_size
from walking_noise import RunConfig
from walking_noise.runtime.sizing.capacity import training_pack_size

numbers = itertools.count(1)


def documents(batch: int = 1, **choices: list[Any]) -> Iterator[Document]:
    """Runs with all combinations of some settings."""
    names = [name.replace("__", ".") for name in choices]
    for values in itertools.product(*choices.values()):
        config = RunConfig.from_dict(
            unflatten({"noise.kind": "additive", **dict(zip(names, values, strict=True))})
        ).to_dict()
        yield {"_id": next(numbers), "batch_id": batch, "config": config}


def in_packs_of(size: int) -> Any:
    return lambda document: lambda config: size


GRIDS: dict[str, dict[str, Any]] = {
    "noisy training": {
        "noise__std": [0.1, 1.0],
        "noise__point": [0, 1],
        "seed": [0, 1, 2],
        "model__batch_norm": [True, False],
    },
    "inference only": {"noise__std": [0.1, 0.5, 1.0], "noise__in_training": [False], "seed": [0, 1, 2, 3, 4]},
}


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("size", [1, 2, 3, 5, 100])
def test_tasks_equal_the_packs_of_the_plan(name: str, size: int):
    runs = list(documents(**GRIDS[name]))
    configs = [RunConfig.from_document(run["config"]) for run in runs]
    planned = demands(map(PlannedRun.of, configs), {config.pack_key: config for config in configs})
    (array,) = task_arrays(runs, 1000, in_packs_of(size))
    assert array.tasks == sum(demand.packs(size) for demand in planned)
    assert sorted(array.ids) == [run["_id"] for run in runs]


def test_runs_of_a_network_and_of_a_pack_are_in_one_array():
    runs = list(documents(**GRIDS["inference only"]))
    arrays = list(task_arrays(runs, 6, in_packs_of(100)))
    seeds = {run["_id"]: run["config"]["seed"] for run in runs}
    assert [[seeds[run] for run in array.ids] for array in arrays] == [
        [0, 0, 0, 1, 1, 1],
        [2, 2, 2, 3, 3, 3],
        [4, 4, 4],
    ]
    assert [array.tasks for array in arrays] == [1, 1, 1]


def test_batches_have_arrays_of_their_own():
    runs = [*documents(batch=1, seed=[0, 1, 2, 3]), *documents(batch=4, seed=[0])]
    assert [len(array.ids) for array in task_arrays(runs, 3, in_packs_of(1))] == [3, 1, 1]
    assert [array.tasks for array in task_arrays(runs, 3, in_packs_of(1))] == [3, 1, 1]


def test_each_run_with_invalid_settings_has_a_task():
    runs = list(documents(seed=[0, 1, 2]))
    for run in runs[1:]:
        run["config"]["training"]["epochs"] = -1
    assert [*task_arrays(runs, 10, in_packs_of(8))] == [TaskArray([run["_id"] for run in runs], 3)]
    assert [*task_arrays([], 10, in_packs_of(8))] == []


def test_the_pack_size_of_workers():
    config = RunConfig()
    cpu = training_pack_size(config, torch.device("cpu"))
    device = Device("GPU", 1, (Rate(Kind.of(config), 300, 1.0, 1.0, 0.0),))

    def size(gpu: bool, env: dict[str, str], export: str = "ALL") -> int:
        options = {"export": export, **({"gres": "gpu:1"} if gpu else {})}
        run = {"seml": {"env": env}, "slurm": [{"sbatch_options": options}]}
        return worker_pack_size(run, [device])(config)

    assert size(True, {}) == 300
    assert size(False, {}) == cpu
    assert size(True, {"WALKING_NOISE_PACK_SIZE": "7"}) == 7
    assert size(True, {"WALKING_NOISE_PACK_SIZE": "7"}, "ALL,WALKING_NOISE_PACK_SIZE=9") == 9
    assert size(True, {"WALKING_NOISE_PACK_SIZE": ""}) == 300
