"""``walking-noise allocate``, from inference-only midpoints to the grid that compares schemes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analysis.midpoints.allocation import OPTIMUM, allocations
from experiments.cli.app import main
from experiments.plan.grid_files import expand
from tests.analysis.conftest import FakeStudy
from walking_noise import RunConfig

LEVELS = [10 ** (-2 + step / 2) for step in range(9)]


@pytest.fixture
def points(stored_study: Callable[[str], FakeStudy]) -> FakeStudy:
    return stored_study("points")


def walked(study: FakeStudy, mu: list[float], **settings: Any) -> None:
    only = {"noise.in_training": False, **settings}
    study.series(only, 0.3, LEVELS)
    for point, each in enumerate(mu):
        study.series({**only, "noise.point": point}, each, LEVELS)


def test_the_grid_compares_the_schemes_on_new_seeds(points: FakeStudy, capsys: pytest.CaptureFixture[str]) -> None:
    walked(points, [0.5, 1.0, 1.0, 2.0, 2.0, 4.0, 4.0, 4.0])
    walked(points, [0.5, 1.0, 1.0, 2.0, 2.0, 4.0, 4.0, 4.0, 1.0, 1.0, 1.0], **{"model.batch_norm": True})
    assert main(["allocate", "points", "--budget", "3", "--budget", "2", "--seeds", "2"]) == 0
    printed = capsys.readouterr().out
    assert "optimum by cost" in printed
    planned = [RunConfig.from_dict(settings) for settings in expand(Path("points-allocated.yaml"))]
    assert f"{len(planned):,} runs" in printed
    assert {run.model.batch_norm for run in planned} == {False, True}
    assert {run.noise.point for run in planned} == {"global"}
    assert not any(run.noise.in_training for run in planned)
    used = {seed for each in points.analyse().fitted_series for seed in each.series.runs["seed"]}
    assert not {run.seed for run in planned} & used
    assert len({run.seed for run in planned}) == 2
    (network,) = [
        each for each in points.analyse().fitted_series
        if each.settings["noise.point"] == "global" and not each.settings["model.batch_norm"]
    ]  # fmt: skip
    levels = sorted({run.noise.std for run in planned if not run.model.batch_norm})
    assert network.fit.mu.value == pytest.approx(levels[2], rel=1e-5)
    at_point = [
        each.fit.mu.value for point in range(8) for each in points.analyse().fitted_series
        if each.settings["noise.point"] == point and not each.settings["model.batch_norm"]
    ]  # fmt: skip
    assert allocations(at_point, 3)[OPTIMUM] in {run.noise.executions for run in planned}


def test_a_file_is_not_overwritten(points: FakeStudy, capsys: pytest.CaptureFixture[str]) -> None:
    Path("points-allocated.yaml").touch()
    assert main(["allocate", "points"]) == 1
    assert "points-allocated.yaml exists" in capsys.readouterr().err


def test_a_collection_without_a_whole_walk(points: FakeStudy, capsys: pytest.CaptureFixture[str]) -> None:
    walked(points, [0.5, 1.0])
    assert main(["allocate", "points"]) == 1
    assert "points has no network with a midpoint at every noise point" in capsys.readouterr().err
    assert not Path("points-allocated.yaml").exists()
