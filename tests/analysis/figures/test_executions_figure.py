"""Executions: schemes found by their allocations, gains over equal numbers, figure and table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from analysis.figures import executions
from analysis.figures.layout.style import style
from analysis.midpoints.allocation import OPTIMUM, UNIFORM, allocations, measured_networks
from analysis.midpoints.from_python import frame_of
from analysis.midpoints.study import Study, analyse
from tests.walking_noise.running import HERE
from walking_noise import RunConfig, train

SHARED: dict[str, Any] = {"noise.in_training": False, "training.epochs": 4, "training.learning_rate": 3e-3}


@pytest.fixture(scope="module")
def study() -> Study:
    """Real short runs: midpoints on two seeds, allocations from them on three others."""
    walk = [
        RunConfig.from_dict({**SHARED, "noise.point": point, "noise.std": std, "seed": seed})
        for point in ("global", *range(8)) for std in (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0) for seed in (0, 1)
    ]  # fmt: skip
    first = frame_of(walk, train(walk, **HERE))
    (network,) = measured_networks(analyse(first))
    mu = network.everywhere.fit.mu.value
    lists = [1, *dict.fromkeys(numbers for mean in (2, 4, 8) for numbers in allocations(network.mu, mean).values())]
    compared = [
        RunConfig.from_dict({**SHARED, "noise.executions": numbers, "noise.std": mu * factor, "seed": seed})
        for numbers in lists for factor in (0.5, 1.0, 2.0, 4.0, 8.0, 16.0) for seed in (2, 3, 4)
    ]  # fmt: skip
    return analyse(pd.concat([first, frame_of(compared, train(compared, **HERE))], ignore_index=True))


def test_figure_and_table(study: Study, tmp_path: Path) -> None:
    with style():
        plot, table = executions.make(study, tmp_path)
    numbers = pd.read_csv(tmp_path / f"{plot.name}.csv")
    uniform = numbers[numbers["scheme"] == UNIFORM]
    assert list(uniform["executions"]) == [1, 2, 4, 8]
    assert uniform["mean"].is_monotonic_increasing
    gained = pd.read_csv(tmp_path / f"{table.name}.csv")
    assert set(gained["mean_executions"]) == {2, 4, 8}
    assert OPTIMUM in set(gained["scheme"])
    assert UNIFORM not in set(gained["scheme"])
    for name in ("accuracy", "factor"):
        assert ((gained[f"{name}_low"] <= gained[name]) & (gained[name] <= gained[f"{name}_high"])).all()
    optimum = gained[gained["scheme"] == OPTIMUM]
    assert (
        optimum["predicted_factor"] >= gained["predicted_factor"].groupby(gained["mean_executions"]).max().to_numpy()
    ).all()
    assert (optimum["predicted_factor"] > 1).all()


def test_saved_executions_are_interpolated_between_equal_numbers() -> None:
    equal = pd.Series({1: 0.5, 2: 0.6, 4: 0.8})
    assert executions._equal_number(equal, 0.7) == pytest.approx(2**1.5)
    assert executions._equal_number(equal, 0.6) == pytest.approx(2)
    assert pd.isna(executions._equal_number(equal, 0.9))
