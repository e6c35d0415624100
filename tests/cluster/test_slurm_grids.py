"""Grids on a real Slurm without disturbances."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.cluster.login_node import LoginNode, choice
from tests.cluster.private_slurm import PrivateSlurm
from tests.experiments.worker.past import attempt, worker

pytestmark = pytest.mark.slurm


def test_a_grid_larger_than_an_array_is_trained_in_packs(login: LoginNode, slurm: PrivateSlurm):
    study = login.study(
        "plain",
        slurm={"max_simultaneous_jobs": 2},
        grid={"noise.std": choice(0.1, 0.3, 1.0, 3.0), "seed": {"type": "range", "min": 0, "max": 6, "step": 1}},
    )
    assert study.size == 24
    study.start()
    tasks = study.arrays()
    assert len(tasks) == 2, "24 runs in arrays of at most 17"
    assert study.size / 8 <= sum(tasks.values()) <= 6, "a task for each pack, not for each run"

    slurm.wait(lambda: len(study.workers()) >= 2, "two workers at once")
    gpus = [worker.supervisor.environment["CUDA_VISIBLE_DEVICES"] for worker in study.workers()]
    assert all(gpu in {"0", "1", "2", "3"} for gpu in gpus)
    running = Counter(line.split("_")[0] for line in study.queue("--states=RUNNING"))
    assert max(running.values()) <= 2

    study.finish(start=False)
    slurm.wait(lambda: not study.queue(), "the end of tasks with nothing to do", seconds=30)
    assert study.results() == study.undisturbed()
    workers = study.history()
    assert Counter(worker["end"] for worker in workers) == {"done": len(workers)}
    assert sum(worker["completed"] for worker in workers) == study.size
    assert max(worker["runs"] for worker in workers) == 8, "a pack for each task"
    assert f"COMPLETED {study.size}" in " ".join(login.run("seml", study.name, "status").split())


def test_a_node_on_which_workers_failed_trains_no_runs(login: LoginNode, slurm: PrivateSlurm):
    """Slurm prefers the first one of equally loaded nodes."""
    study = login.study("excluding", grid={"noise.std": choice(0.1, 0.3)})
    for number in range(24):
        one = worker(study.runs, host="n1" if number < 8 else "n2")
        if number < 8:
            attempt(study.runs, 1, one, "LOST", "Slurm task has ended: NODE_FAIL")
    history = {one["_id"] for one in study.history()}
    assert "excluded: node n1: 8 of 8 workers failed" in study.start()
    (array,) = study.arrays()
    assert "ExcNodeList=n1\n" in slurm.run("scontrol", "show", "job", str(array))
    study.finish(start=False)
    assert [one["host"] for one in study.history() if one["_id"] not in history] == ["n2"]
