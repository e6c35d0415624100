"""Executions of noisy layers: the mean of several draws, drawn at once or one by one; packs, keys, refusals."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from scipy import stats
from torch import Tensor

from tests.walking_noise.running import HERE, SingleRuns, numbers, run
from walking_noise import ConfigError, RunConfig, data, train
from walking_noise.data import DataSet
from walking_noise.noise.audit import Audit
from walking_noise.noise.injection import Injection
from walking_noise.runtime.planner import plan_trainings

CPU = torch.device("cpu")
ONLY: dict[str, Any] = {"noise__std": 1.0, "noise__in_training": False}
MIXED: dict[str, Any] = {"noise__kind": "mixed", "noise__std_mul": 0.6, "noise__std_add": 0.8}


@pytest.fixture(autouse=True)
def few_digits(fewer_digits: DataSet, monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace every data set in this process by the few digits."""
    monkeypatch.setattr(data, "load", lambda *selection, **settings: fewer_digits)


def outputs(config: RunConfig, x: Tensor, step: int = 0, audit: Audit | None = None) -> Tensor:
    """The outputs ``(B, n)`` of noise point 1 for activations ``(B, n)``."""
    return Injection([config], "inference", CPU).at((0, step), audit)(1, x.unsqueeze(0))[0]


@pytest.mark.parametrize(
    "settings",
    [
        ONLY,
        {**ONLY, "noise__kind": "multiplicative"},
        {**ONLY, "noise__kind": "uniform"},
        {**MIXED, "noise__in_training": False},
        {**MIXED, "noise__in_training": False, "noise__order": "add_first"},
        {**ONLY, "noise__unit": "rms"},
        {**ONLY, "noise__redraw": "batch"},
    ],
)
def test_the_mean_of_executions_has_the_distribution_of_means_of_single_ones(settings: dict[str, Any]) -> None:
    """Kolmogorov and Smirnov's test of two samples; five executions of other seeds are averaged for comparison."""
    x = torch.full((1, 4000), 1.5)
    several = outputs(run(**settings, noise__executions=5), x).flatten()
    single = torch.stack([outputs(run(**settings, noise__seed=seed), x).flatten() for seed in range(1, 6)]).mean(0)
    assert stats.ks_2samp(several.numpy(), single.numpy()).pvalue > 1e-3
    once = outputs(run(**settings), x).flatten()
    assert stats.ks_2samp(once.numpy(), single.numpy()).pvalue < 1e-9


def test_adding_first_has_the_variance_of_the_product() -> None:
    """``[x² s_m² + s_a² (1 + s_m²)] / n``."""
    config = run(**MIXED, noise__in_training=False, noise__order="add_first", noise__executions=4)
    found = outputs(config, torch.full((1, 200_000), 2.0))
    assert found.var().item() == pytest.approx((4 * 0.36 + 0.64 * 1.36) / 4, rel=0.03)


def test_a_number_for_each_point() -> None:
    numbers_of = [1, 4, 9, 1, 1, 1, 1, 1]
    config = run(**ONLY, noise__executions=numbers_of)
    audit, x = Audit(8, 1), torch.zeros(1, 20, 1000)
    for point in range(8):
        Injection([config], "inference", CPU).at((0, 0), audit)(point, x)
    assert audit.of(0)["std_add"] == pytest.approx([n**-0.5 for n in numbers_of], rel=0.05)


def test_the_audit_measures_the_level_of_every_execution() -> None:
    config = run(**{**ONLY, "noise__kind": "uniform"}, noise__executions=3)
    audit = Audit(8, 1)
    outputs(config, torch.zeros(20, 1000), audit=audit)
    assert audit.of(0)["std_add"][1] == pytest.approx(1.0, rel=0.05)
    assert audit.of(0)["draws"][1] == 60_000


def test_packs_and_networks() -> None:
    variants: list[dict[str, Any]] = [
        {**ONLY, "noise__executions": 2},
        {**ONLY, "noise__executions": [1, 2, 3, 4, 5, 6, 7, 8]},
        {**ONLY, "noise__kind": "uniform", "noise__executions": 3},
        {**ONLY, "noise__target": "weights", "noise__executions": 3},
        {**ONLY, "noise__target": "weights", "noise__kind": "uniform", "noise__executions": 3, "noise__std": 0.1},
        {"noise__std": 0.3, "noise__executions": 3},
        {"noise__std": 0.3, "noise__kind": "uniform", "noise__executions": 2},
        {"noise__std": 0.3},
    ]
    configs = [run(**one, seed=seed) for one in variants for seed in (0, 1)]
    configs = configs[::3] + configs[2::3] + configs[1::3]
    assert [numbers(one) for one in train(configs, **HERE)] == SingleRuns()(configs)
    only = [run(**ONLY, noise__executions=number) for number in (1, 2, 3)]
    assert len(plan_trainings(only)) == 1


def test_keys() -> None:
    one, all_ones, other = (run(**ONLY, noise__executions=number) for number in (2, [2] * 8, [2] * 7 + [3]))
    assert one.run_key == all_ones.run_key
    assert run(**ONLY).run_key == run(**ONLY, noise__executions=[1] * 8).run_key
    unused = [9, 9, 1, *[9] * 5]
    assert run(**ONLY, noise__point=2).run_key == run(**ONLY, noise__point=2, noise__executions=unused).run_key
    assert one.run_key != other.run_key
    at_point = [run(**ONLY, noise__point=2, noise__executions=[1, 1, 3, *[number] * 5]) for number in (1, 7)]
    assert at_point[0].run_key == at_point[1].run_key
    trained = [run(noise__std=0.3, noise__executions=number) for number in (1, 3)]
    assert trained[0].training_key == trained[1].training_key
    assert trained[0].network_key != trained[1].network_key


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({**ONLY, "noise__redraw": "chip", "noise__executions": 2}, "on one chip have the same noise"),
        ({"noise__kind": "quantisation", "noise__bits": 4, "noise__executions": 2}, "draws no random numbers"),
        ({"noise__kind": "none", "noise__executions": 2}, "draws no random numbers"),
        ({**ONLY, "noise__executions": [2] * 9}, "one number for each of the 8 noise points"),
        ({**ONLY, "noise__executions": 1.5}, "whole number"),
    ],
)
def test_refusals(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        run(**settings)
