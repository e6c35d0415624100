"""Evaluation at another level than in training: shared networks, keys, independent draws, refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.walking_noise.running import HERE, SingleRuns, numbers, run
from walking_noise import ConfigError, Result, train
from walking_noise.data import DataSet
from walking_noise.runtime.planner import plan_trainings

LEVELS = (0.0, 0.5, 2.0)
GRID = [run(noise__training_std=trained, noise__std=level) for trained in (0.3, 1.5) for level in LEVELS]
DRAWS: dict[str, Any] = {"noise__training_std": 0.3, "noise__std": 1.0}

pytestmark = pytest.mark.usefixtures("only_digits")


@pytest.fixture(scope="module")
def single() -> SingleRuns:
    return SingleRuns()


def result(**settings: Any) -> Result:
    (found,) = train([run(**settings)], **HERE)
    return found


def test_runs_trained_at_one_level_share_a_network(single: SingleRuns) -> None:
    planned = plan_trainings(GRID)
    assert [(training.own, training.inference_only) for training in planned] == [([], [0, 1, 2]), ([], [3, 4, 5])]
    together = train(GRID, **HERE)
    assert max(one.pack_size for one in together) == 2
    assert [numbers(one) for one in together] == single(GRID)
    assert len({str(one.training_loss) for one in together}) == 2
    accuracies = [one.accuracy for one in together]
    assert accuracies[0] > accuracies[2]


def test_the_training_is_that_of_a_run_at_the_training_level() -> None:
    plain, separate = result(noise__std=0.5), result(noise__std=0.5, noise__training_std=0.5)
    assert separate.training_loss == plain.training_loss
    assert separate.audit["training"] == plain.audit["training"]
    assert separate.last_accuracies == pytest.approx(plain.last_accuracies[-1:], abs=0.01)
    assert run(noise__std=0.5).training_key == run(noise__std=0.5, noise__training_std=0.5).training_key
    assert run(noise__std=0.5).run_key != run(noise__std=0.5, noise__training_std=0.5).run_key


def test_level_0_in_training_is_noise_at_inference_only() -> None:
    only, separate = run(noise__std=0.5, noise__in_training=False), run(noise__std=0.5, noise__training_std=0.0)
    assert only.run_key == separate.run_key
    assert only.network_key == separate.network_key
    assert numbers(train([only], **HERE)[0]) == numbers(train([separate], **HERE)[0])


def test_level_0_at_inference_is_not_noise_free_training() -> None:
    trained = result(noise__training_std=1.5)
    assert trained.training_loss != result().training_loss
    assert trained.audit["training"] is not None
    assert not run(noise__training_std=1.5).noisy
    assert run(noise__training_std=1.5).network_key != run().network_key


def test_mixed_noise_and_mapped_levels() -> None:
    mixed = run(noise__kind="mixed", noise__std_mul=0.1, noise__std_add=0.2, noise__training_std_mul=0.4,
                noise__training_std_add=0.3)  # fmt: skip
    assert mixed.training_levels[0][:2] == (0.4, 0.3)
    assert mixed.levels[0][:2] == (0.1, 0.2)
    mapped = run(noise__point="mapped", noise__std=[0.1] * 8, noise__training_std=[0.0, 0.0, 0.7, *[0.0] * 5])
    assert mapped.first_noisy_training_point == 2
    (outcome,) = train([mapped], **HERE)
    assert outcome.audit["training"]["std_add"][2] == pytest.approx(0.7, rel=0.1)
    assert outcome.audit["inference"]["std_add"] == pytest.approx([0.1] * 8, rel=0.2)


def test_a_trained_network_is_found_again(tmp_path: Path, digits: DataSet) -> None:
    networks = tmp_path / "networks"
    (first,) = train(GRID[:1], **HERE, networks=networks)
    assert len(list(networks.iterdir())) == 1
    changed = [file.stat().st_mtime_ns for file in networks.iterdir()]
    (second,) = train(GRID[1:2], **HERE, networks=networks)
    assert first.training_loss == second.training_loss
    assert [file.stat().st_mtime_ns for file in networks.iterdir()] == changed


def test_independent_draws_of_one_run(single: SingleRuns) -> None:
    several = result(**DRAWS, evaluation__noise_draws=3)
    assert several.draw_accuracies is not None
    assert len(set(several.draw_accuracies)) > 1
    assert several.accuracy == pytest.approx(sum(several.draw_accuracies) / 3)
    (one,) = single([run(**DRAWS)])
    assert several.draw_accuracies[0] == one["accuracy"]
    assert one["draw_accuracies"] is None
    only = result(noise__std=1.0, noise__in_training=False, evaluation__noise_draws=2)
    assert len(only.draw_accuracies or ()) == 2


def test_levels_share_their_draws_unless_they_are_independent() -> None:
    shared = [run(**{**DRAWS, "noise__std": level}) for level in (1.0, 2.0)]
    assert shared[0].noise_seed == shared[1].noise_seed == 0
    independent = [run(**{**DRAWS, "noise__std": level}, noise__level_draws="independent") for level in (1.0, 2.0)]
    assert len({each.noise_seed for each in (*shared, *independent)}) == 3
    assert len({each.run_key for each in (*shared, *independent)}) == 4
    assert len({each.network_key for each in (*shared, *independent)}) == 1
    results = train([*shared, *independent], **HERE)
    assert results[0].accuracy != results[2].accuracy


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"noise__training_std": 0.5, "noise__in_training": False}, "no effect with noise.in_training: false"),
        ({"noise__training_std": 0.5, "evaluation__curve": True}, "a run is evaluated once"),
        ({"noise__training_std": [0.5] * 8}, "a list of levels requires noise.point: mapped"),
        ({"noise__training_std_mul": 0.5}, "noise.std_mul is not the noise level"),
        (
            {"noise__kind": "mixed", "noise__std_mul": 0.1, "noise__std_add": 0.1, "noise__training_std_mul": 0.1},
            "noise.training_std_add: None is refused; it is needed beside noise.training_std_mul",
        ),
        ({"noise__std": 0.5, "evaluation__noise_draws": 2}, "set noise.training_std, too"),
        ({"noise__kind": "none", "evaluation__noise_draws": 2}, "no effect without noise"),
        ({"noise__kind": "none", "noise__level_draws": "independent"}, "no effect without noise"),
        ({"noise__kind": "quantisation", "noise__bits": 4, "evaluation__noise_draws": 2}, "draws no random numbers"),
    ],
)
def test_refusals(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        run(**settings)
