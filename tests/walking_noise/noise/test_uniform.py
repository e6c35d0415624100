"""Uniform noise: its distribution, its audit, and its independence of the pack."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from scipy import stats
from torch import Tensor

from tests.walking_noise.running import numbers, outcomes, run
from walking_noise import Failure, Result
from walking_noise.noise import noise_kinds
from walking_noise.noise.injection import Injection


@pytest.mark.parametrize("stream", ["training", "inference"])
@pytest.mark.parametrize("level", [1e-8, 0.7, 1e16])
def test_the_distribution(level: float, stream: str) -> None:
    config = run(noise__kind="uniform", noise__std=level)
    drawn = Injection([config], stream, torch.device("cpu")).at((3,))(2, torch.zeros(1, 100, 200))
    half_width = math.sqrt(3) * level
    assert stats.kstest(drawn.double().flatten(), stats.uniform(-half_width, 2 * half_width).cdf).pvalue > 1e-3
    assert float(drawn.abs().max()) <= half_width * (1 + 1e-6)
    assert float(drawn.double().std()) == pytest.approx(level, rel=5 * math.sqrt(0.8 / (4 * drawn.numel())))
    assert float(drawn.double().pow(4).mean()) / level**4 == pytest.approx(noise_kinds()["uniform"].kurtosis, rel=0.05)


@pytest.mark.usefixtures("only_digits")
def test_runs_alone_and_in_a_pack() -> None:
    configs = [
        run(noise__kind="uniform", noise__std=0.5),
        run(noise__kind="uniform", noise__std=0.2, noise__point=2, seed=1),
        run(noise__kind="uniform", noise__std=2.0, noise__point=2, noise__in_training=False),
        run(noise__kind="uniform", noise__std=[0.1 * point for point in range(8)], noise__point="mapped"),
    ]
    together = outcomes(configs)
    for config, outcome in zip(configs, together, strict=True):
        assert isinstance(outcome, Result), outcome
        assert numbers(outcomes([config])[0]) == numbers(outcome)
        assert outcome.audit["inference"]["std_add"] == [
            pytest.approx(level.add, rel=0.03) if level.add else None for level in config.levels
        ]


@pytest.mark.usefixtures("only_digits")
def test_another_half_width_fails_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """1 % is less than chance allows a Gaussian of as many draws."""
    kind = noise_kinds()["uniform"]

    def wider(out: Tensor, generator: torch.Generator) -> None:
        kind.draw(out, generator)
        out.mul_(1.01)

    spoiled = dataclasses.replace(kind, draw=wider)
    monkeypatch.setitem(noise_kinds(), "uniform", spoiled)
    (failure,) = outcomes([run(noise__kind="uniform", noise__std=0.5, noise__point=0)])
    assert isinstance(failure, Failure)
    assert "noise point 0: std_add 0.5 was configured, 0.50" in failure.error
