"""Planner: distinct trainings of runs, and packs of trainings."""

from __future__ import annotations

from itertools import chain
from typing import Any

import pytest

from walking_noise import RunConfig
from walking_noise.runtime.planner import plan_packs, plan_trainings


def run(**settings: Any) -> RunConfig:
    return RunConfig.from_dict({name.replace("__", "."): value for name, value in settings.items()})


def test_noise_at_inference_only_shares_one_training() -> None:
    levels = (0.0, 0.1, 1.0)
    grid = [run(noise__in_training=False, noise__point=point, noise__std=std) for point in range(8) for std in levels]
    (training,) = plan_trainings(grid)
    assert training.config == run(noise__kind="none")
    assert training.own == list(range(0, 24, 3))
    assert training.inference_only == [index for index in range(24) if index % 3]
    assert sorted(training.runs) == list(range(24))


def test_level_0_and_noise_at_inference_only_share_one_training() -> None:
    same = [
        run(noise__std=0.0),
        run(noise__kind="multiplicative"),
        run(noise__std=0.5, noise__in_training=False),
        run(noise__kind="none"),
    ]
    (training,) = plan_trainings(same)
    assert (training.own, training.inference_only) == ([0, 1, 3], [2])


@pytest.mark.parametrize(
    "change", [{"seed": 1}, {"training__learning_rate": 2e-3}, {"training__weight_clamp": 1.0}, {"training__epochs": 3}]
)
def test_different_trainings_are_not_shared(change: dict[str, Any]) -> None:
    assert len(plan_trainings([run(), run(**change)])) == 2


def test_trainings_with_noise_are_shared_by_equivalent_runs_only() -> None:
    runs = [
        run(noise__std=0.5),
        run(noise__std=0.5, noise__in_training=False),
        run(noise__std=[0.5] * 8, noise__point="mapped"),
        run(noise__std=0.6),
        run(noise__std=0.5, noise__seed=0),
    ]
    assert [training.own for training in plan_trainings(runs)] == [[0, 2, 4], [], [3]]
    assert [training.inference_only for training in plan_trainings(runs)] == [[], [1], []]


def test_another_noise_seed_has_a_training_of_its_own() -> None:
    assert [training.own for training in plan_trainings([run(noise__std=0.5), run(noise__std=0.5, noise__seed=9)])] == [
        [0],
        [1],
    ]


def test_a_training_records_its_curve_if_one_run_does() -> None:
    (training,) = plan_trainings([run(), run(evaluation__curve=True), run()])
    assert training.config.evaluation.curve
    assert training.own == [0, 1, 2]


@pytest.mark.parametrize("noise", [{}, {"noise__std": 0.5}])
def test_a_training_keeps_its_network_if_one_run_does(noise: dict[str, Any]) -> None:
    (training,) = plan_trainings([run(**noise), run(training__keep_network=True, **noise), run(**noise)])
    assert training.config.training.keep_network
    assert training.own == [0, 1, 2]


def planned_packs(runs: list[RunConfig], pack_size: int, processes: int) -> list[list[list[int]]]:
    """Indices of the runs of each training of each pack."""
    pack_sizes = {config.pack_key: pack_size for config in runs}
    return [[training.runs for training in pack] for pack in plan_packs(runs, pack_sizes, processes)]


def test_packs_have_runs_of_one_pack_key() -> None:
    first, last = run(noise__std=0.1, seed=0), run(noise__std=0.1, seed=1)
    for other in ({"model__batch_norm": True}, {"training__learning_rate": 2e-3}):
        assert planned_packs([first, run(noise__std=0.1, **other), last], 16, 1) == [[[0], [2]], [[1]]]


@pytest.mark.parametrize("pack_size", [1, 2, 3, 16])
@pytest.mark.parametrize("processes", [1, 2, 5])
def test_every_run_is_in_one_pack_of_at_most_the_pack_size(pack_size: int, processes: int) -> None:
    runs = [run(noise__std=0.1 * index, model__batch_norm=index % 3 == 0) for index in range(20)]
    planned = planned_packs(runs, pack_size, processes)
    assert max(map(len, planned)) <= pack_size
    assert sorted(chain(*chain(*planned))) == list(range(20))


def test_packs_are_spread_over_the_processes() -> None:
    runs = [run(noise__std=0.1, seed=seed) for seed in range(10)]
    assert [len(pack) for pack in planned_packs(runs, 16, 1)] == [10]
    assert [len(pack) for pack in planned_packs(runs, 16, 2)] == [5, 5]
    assert [len(pack) for pack in planned_packs(runs, 16, 4)] == [2, 3, 2, 3]
    assert planned_packs([], 16, 2) == []


def seeds_of(pack: list[list[int]], runs: list[RunConfig]) -> list[int]:
    return [runs[training[0]].seed for training in pack]


def test_a_pack_has_the_same_number_of_runs_of_each_seed() -> None:
    runs = [run(noise__std=0.1 * level, seed=seed) for level in range(1, 8) for seed in range(4)]
    planned = planned_packs(runs, 16, 1)
    assert [seeds_of(pack, runs) for pack in planned] == [[0] * 7 + [1] * 7, [2] * 7 + [3] * 7]
    assert [seeds_of(pack, runs) for pack in planned_packs(runs, 4, 1)] == [
        [seed] * length for length in (4, 3) for seed in range(4)
    ]


def test_runs_of_a_seed_are_split_into_packs_by_noise_point() -> None:
    runs = [
        run(noise__std=0.1 * level, noise__point=point, seed=seed)
        for level in (1, 2)
        for point in (3, 1, 5)
        for seed in (0, 1)
    ]
    planned = planned_packs(runs, 2, 1)
    assert [{(runs[i].seed, runs[i].noise.point) for (i,) in pack} for pack in planned] == [
        {(seed, point)} for seed in (0, 1) for point in (1, 3, 5)
    ]


def test_runs_with_noise_on_their_input_form_packs_of_their_own() -> None:
    runs = [run(noise__std=0.1 * level, noise__point=point) for level in (1, 2, 3) for point in (0, 4, "global")]
    planned = [[runs[training[0]].noise.point for training in pack] for pack in planned_packs(runs, 16, 1)]
    assert planned == [[0, "global"] * 3, [4, 4, 4]]


def test_seeds_with_different_numbers_of_runs_form_separate_packs() -> None:
    runs = [run(noise__std=0.1 * level, seed=seed) for seed in range(3) for level in range(1, 3 + (seed == 1))]
    assert [seeds_of(pack, runs) for pack in planned_packs(runs, 16, 1)] == [[1, 1, 1], [0, 0, 2, 2]]
