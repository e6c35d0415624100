"""Networks trained at different levels: figure, choice of the best level on other repetitions, table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis.figures.layout.style import style
from analysis.figures.training import training_levels
from analysis.midpoints.from_python import frame_of
from analysis.midpoints.study import analyse
from analysis.tables.table_files import Table
from tests.walking_noise.running import HERE
from walking_noise import RunConfig, train


@pytest.fixture(scope="module")
def runs() -> pd.DataFrame:
    """Real short runs: three levels in training, four at inference, two seeds; and runs that are left out."""
    shared = {"training.epochs": 2, "noise.point": 1}
    other: list[dict[str, Any]] = [{"noise.training_std": level} for level in (0.3, 1.0)]
    trained = [*other, {"noise.in_training": False}, {}]
    configs = [
        RunConfig.from_dict({**shared, **one, "noise.std": std, "seed": seed})
        for one in trained for std in (0.1, 1.0, 3.0, 10.0) for seed in (0, 1)
    ]  # fmt: skip
    return frame_of(configs, train(configs, **HERE))


def test_figure_and_table(runs: pd.DataFrame, tmp_path: Path) -> None:
    with style():
        plot, table = training_levels.make(analyse(runs), tmp_path)
    assert "trained at different levels" in plot.title
    numbers = pd.read_csv(tmp_path / f"{plot.name}.csv")
    assert sorted(numbers["training level"].unique()) == [0.0, 0.3, 1.0]
    assert set(numbers["count"]) == {2}
    assert (tmp_path / f"{plot.name}.png").stat().st_size > 5000
    best = pd.read_csv(tmp_path / "training-levels-best.csv")
    assert list(best["level"]) == [0.1, 1.0, 3.0, 10.0]
    assert ((best["low"] <= best["accuracy"]) & (best["accuracy"] <= best["high"])).all()
    assert isinstance(table, Table)
    assert len(table.texts) == 4


def test_the_best_level_is_measured_on_other_repetitions() -> None:
    """Levels that are equal but for chance: the winner of all runs is above the true accuracy, the estimate is not."""
    generator, estimates, winners = np.random.default_rng(0), [], []
    for _ in range(300):
        table = [
            {"level": 1.0, "training level": level, "repetition": seed, "accuracy": 0.5 + 0.05 * generator.normal()}
            for level in range(8) for seed in range(4)
        ]  # fmt: skip
        frame = pd.DataFrame(table)
        ((_, chosen, accuracy),) = training_levels.best_levels(frame)
        assert len(chosen) == 4
        estimates.append(accuracy.value)
        winners.append(frame.groupby("training level")["accuracy"].mean().max())
    assert np.mean(winners) > 0.52
    assert np.mean(estimates) == pytest.approx(0.5, abs=0.006)


def test_one_repetition_gives_no_best_level() -> None:
    frame = pd.DataFrame({"level": 1.0, "training level": [0.0, 1.0], "repetition": "0", "accuracy": [0.5, 0.6]})
    assert training_levels.best_levels(frame) == []
