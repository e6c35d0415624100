"""Arrays have a task for each lease of a worker, and keep the runs of a pack together."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import torch
from seml.utils import unflatten

from experiments.database.connection import Document
from experiments.plan.throughput import Device, Kind, Rate
from experiments.submit.task_arrays import TaskArray, lease_size, task_arrays
from experiments.worker.companion_runs import Candidate, choose_companions
from walking_noise import RunConfig
from walking_noise.runtime.sizing.capacity import CPU_ROUNDS, training_pack_size

numbers = itertools.count(1)


def documents(batch: int = 1, **choices: list[Any]) -> Iterator[Document]:
    """Runs with all combinations of some settings."""
    names = [name.replace("__", ".") for name in choices]
    for values in itertools.product(*choices.values()):
        config = RunConfig.from_dict(
            unflatten({"noise.kind": "additive", **dict(zip(names, values, strict=True))})
        ).to_dict()
        yield {"_id": next(numbers), "batch_id": batch, "config": config}


def in_leases_of(size: int) -> Any:
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
def test_tasks_equal_the_leases_of_workers(name: str, size: int):
    """Each worker leases what is left as a real one does, until nothing is left."""
    runs = list(documents(**GRIDS[name]))
    (array,) = task_arrays(runs, 1000, in_leases_of(size))
    left, leases = [Candidate.from_document(run) for run in runs], 0
    while left:
        pack = left[0].config.pack_key if left[0].config else ""
        leased = choose_companions((run for run in left if run.config and run.config.pack_key == pack), size)
        left, leases = [run for run in left if run not in leased], leases + 1
    assert array.tasks == leases
    assert sorted(array.ids) == [run["_id"] for run in runs]


def test_runs_of_a_network_and_of_a_pack_are_in_one_array():
    runs = list(documents(**GRIDS["inference only"]))
    arrays = list(task_arrays(runs, 6, in_leases_of(100)))
    seeds = {run["_id"]: run["config"]["seed"] for run in runs}
    assert [[seeds[run] for run in array.ids] for array in arrays] == [
        [0, 0, 0, 1, 1, 1],
        [2, 2, 2, 3, 3, 3],
        [4, 4, 4],
    ]
    assert [array.tasks for array in arrays] == [1, 1, 1]


def test_batches_have_arrays_of_their_own():
    runs = [*documents(batch=1, seed=[0, 1, 2, 3]), *documents(batch=4, seed=[0])]
    assert [len(array.ids) for array in task_arrays(runs, 3, in_leases_of(1))] == [3, 1, 1]
    assert [array.tasks for array in task_arrays(runs, 3, in_leases_of(1))] == [3, 1, 1]


def test_each_run_with_invalid_settings_has_a_task():
    runs = list(documents(seed=[0, 1, 2]))
    for run in runs[1:]:
        run["config"]["training"]["epochs"] = -1
    assert [*task_arrays(runs, 10, in_leases_of(8))] == [TaskArray([run["_id"] for run in runs], 3)]
    assert [*task_arrays([], 10, in_leases_of(8))] == []


def test_the_size_of_leases():
    config = RunConfig()
    cpu = training_pack_size(config, torch.device("cpu"))
    device = Device("GPU", 1, (Rate(Kind.of(config), 300, 1.0, 1.0, 0.0),))

    def size(
        request: dict[str, Any], env: dict[str, str], export: str = "ALL", limits: Mapping[str, int] | None = None
    ) -> int:
        run = {"seml": {"env": env}, "slurm": [{"sbatch_options": {"export": export, **request}}]}
        return lease_size(run, [device], limits or {})(config)

    gpu = {"gres": "gpu:1"}
    assert size(gpu, {}) == 300
    assert size({}, {}) == CPU_ROUNDS * cpu
    assert size({"cpus-per-task": 6}, {}) == size({"c": "6"}, {}) == 6 * CPU_ROUNDS * cpu
    assert size(gpu, {"WALKING_NOISE_PACK_SIZE": "7"}) == size({}, {"WALKING_NOISE_PACK_SIZE": "7"}) == 7
    assert size(gpu, {"WALKING_NOISE_PACK_SIZE": "7"}, "ALL,WALKING_NOISE_PACK_SIZE=9") == 9
    assert size(gpu, {"WALKING_NOISE_PACK_SIZE": ""}) == 300
    assert size(gpu, {}, limits={config.pack_key: 9}) == 9
    assert size({"c": 2}, {}, limits={config.pack_key: 3}) == 2 * CPU_ROUNDS * 3
    assert size(gpu, {}, limits={"another kind of pack": 9}) == 300
