"""Shared trainings: runs share one trained network within a call, and through the cache of networks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.walking_noise.running import GRID, HERE, numbers, run
from walking_noise import Progress, RunConfig, train
from walking_noise.checkpoints.network_cache import NetworkCache
from walking_noise.data import DataSet
from walking_noise.runtime import executor, planner
from walking_noise.training.member import TrainedNetwork
from walking_noise.training.trainer import train_pack


@pytest.fixture(autouse=True)
def few(only_digits: DataSet) -> DataSet:
    return only_digits


@pytest.fixture
def trained_packs(monkeypatch: pytest.MonkeyPatch) -> list[list[RunConfig]]:
    """The packs that are trained."""
    packs: list[list[RunConfig]] = []

    def counted(configs: Sequence[RunConfig], *args: Any, **kwargs: Any) -> list[TrainedNetwork]:
        packs.append(list(configs))
        return train_pack(configs, *args, **kwargs)

    monkeypatch.setattr(executor, "train_pack", counted)
    return packs


def test_a_grid_of_noise_at_inference_trains_once(trained_packs: list[list[RunConfig]]) -> None:
    seen: list[Progress] = []
    results = train(GRID, progress=seen.append, **HERE)
    assert trained_packs == [[run(noise__kind="none", model__batch_norm=True)]]
    assert (seen[-1].epochs_done, seen[-1].epochs_total) == (2, 2)
    assert (seen[-1].runs_done, seen[-1].runs_total) == (33, 33)
    for index in range(0, 33, 4):
        assert numbers(results[index]) == numbers(train([GRID[index]], **HERE)[0])
    clean = [numbers(results[index]) for index in range(0, 33, 3)]
    assert clean == [clean[0]] * 11
    assert len({result.accuracy for result in results}) > 10


@pytest.mark.parametrize("model", ["mlp", "lenet5"])
def test_a_whole_walking_study_at_inference_is_one_training(model: str) -> None:
    """All points × 41 levels."""
    settings: dict[str, Any] = {"model__name": model, "model__batch_norm": True, "noise__in_training": False}
    points = range(len(run(model__name=model, model__batch_norm=True).points))
    levels = [10 ** (level / 10) for level in range(-20, 21)]
    study = [run(noise__point=point, noise__std=std, **settings) for point in points for std in levels]
    (training,) = planner.plan_trainings(study)
    assert training.runs == training.inference_only == list(range(len(points) * 41))


def test_noise_at_inference_is_evaluated_on_the_trained_network() -> None:
    """With negligible noise the accuracy is that of the last epoch."""
    settings: dict[str, Any] = {"training__epochs": 8, "training__learning_rate": 1e-2}
    runs = [run(seed=seed, **settings) for seed in range(2)]
    runs += [run(seed=seed, noise__std=1e-9, noise__in_training=False, **settings) for seed in range(2)]
    first, second, noisy_first, noisy_second = train(runs, **HERE)
    assert min(first.accuracy, second.accuracy) > 0.5
    assert noisy_first.last_accuracies == first.last_accuracies[-1:]
    assert noisy_second.last_accuracies == second.last_accuracies[-1:]
    assert noisy_first.last_accuracies != noisy_second.last_accuracies


def test_equivalent_runs_are_trained_once_and_have_the_same_result(trained_packs: list[list[RunConfig]]) -> None:
    same = [run(noise__std=0.5), run(noise__std=[0.5] * 8, noise__point="mapped"), run(noise__std=0.5, noise__seed=0)]
    first, *others = train(same, **HERE)
    assert trained_packs == [[same[0]]]
    assert [numbers(other) for other in others] == [numbers(first)] * 2


def test_a_curve_for_one_of_two_equivalent_runs() -> None:
    without, with_curve = train([run(), run(evaluation__curve=True)], **HERE)
    assert without.validation_curve is None
    assert with_curve.validation_curve == with_curve.last_accuracies == without.last_accuracies


def test_networks_are_trained_once_for_all_calls(tmp_path: Path, trained_packs: list[list[RunConfig]]) -> None:
    grid = [*GRID[:6], run(noise__std=0.5, noise__point=3, model__batch_norm=True)]
    first = train(grid, networks=tmp_path, **HERE)
    assert [len(pack) for pack in trained_packs] == [2]
    seen: list[Progress] = []
    again = train([*grid, GRID[10]], networks=tmp_path, progress=seen.append, **HERE)
    assert trained_packs[1:] == [[grid[-1]]]
    assert [numbers(result) for result in again[:-1]] == [numbers(result) for result in first]
    assert numbers(again[-1]) == numbers(train([GRID[10]], **HERE)[0])
    assert (seen[-1].epochs_done, seen[-1].epochs_total) == (4, 4)
    assert len(list(tmp_path.iterdir())) == 1


def test_a_damaged_network_is_trained_again_and_replaced(tmp_path: Path, trained_packs: list[list[RunConfig]]) -> None:
    (first,) = train(GRID[:1], networks=tmp_path, **HERE)
    (file,) = tmp_path.iterdir()
    file.write_bytes(b"not a network")
    for planned in (2, 2):
        (again,) = train(GRID[:1], networks=tmp_path, **HERE)
        assert numbers(again) == numbers(first)
        assert len(trained_packs) == planned
    checksum = first.provenance["data_checksum"]
    assert checksum is not None
    assert NetworkCache(tmp_path, torch.device("cpu"), checksum).load(GRID[0]) is not None
