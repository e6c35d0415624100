"""``walking-noise refine``, from the runs of a first stage to the grid of the second."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from seml.experiment.config import determine_executable_and_working_dir

from experiments.cli.app import main
from experiments.plan.grid_files import expand
from experiments.plan.run_counts import settings_key
from tests.analysis.conftest import FakeStudy
from tests.experiments.cli.conftest import LATEST
from tests.experiments.shell import ROOT
from walking_noise import RunConfig

COARSE = [10 ** (-2 + step / 2) for step in range(9)]


@pytest.fixture
def first_stage(stored_study: Callable[[str], FakeStudy]) -> FakeStudy:
    return stored_study("coarse")


def fill(study: FakeStudy, **options: Any) -> FakeStudy:
    for point in (0, 3):
        study.series({"model.batch_norm": True, "noise.point": point}, 0.8, COARSE, **options)
    return study


def test_the_grid_has_new_runs_only(first_stage: FakeStudy, capsys: pytest.CaptureFixture[str]):
    fill(first_stage)
    study = {"noise.kind": "mixed", "noise.ratio": 0.5, "noise.std": 0.0}
    first_stage.series(study, 0.8, COARSE)
    assert main(["refine", "coarse", "--width", "0.1"]) == 0
    printed = capsys.readouterr().out
    planned = [RunConfig.from_dict(settings) for settings in expand(Path("coarse-refined.yaml"))]
    present = [RunConfig.from_document(document["config"]) for document in first_stage]
    keys = [settings_key(config) for config in planned]
    assert len(keys) == len(set(keys))
    assert not {*keys} & {settings_key(config) for config in present}
    assert {config.training_key for config in present} & {config.training_key for config in planned} == set()
    assert f"\n{len(planned)} runs, {len(planned)} trainings;" in printed
    assert {config.noise.amplitude is None for config in planned} == {True, False}
    new = {config.seed for config in planned} - {0, 1, 2}
    assert new == set(range(3, 3 + len(new)))
    assert "coarse-refined.yaml: add it with `walking-noise add coarse coarse-refined.yaml`" in printed


@pytest.mark.parametrize("file", ["grid.yaml", "grids/grid.yaml"])
def test_the_project_is_found_from_the_file(first_stage: FakeStudy, file: str):
    """The folder of the project is relative to the file, so that a checkout may be moved with its grids."""
    fill(first_stage)
    Path(file).parent.mkdir(exist_ok=True)
    assert main(["refine", "coarse", "--width", "0.1", "--out", file]) == 0
    seml: Any = yaml.safe_load(Path(file).read_text())["seml"]
    assert not Path(seml["project_root_dir"]).is_absolute()
    found: Any = determine_executable_and_working_dir(file, seml)
    assert found[:2] == (LATEST["seml"]["executable"], str(ROOT))


def test_a_file_is_not_replaced(first_stage: FakeStudy, capsys: pytest.CaptureFixture[str]):
    Path("grid.yaml").write_text("mine")
    assert main(["refine", "coarse", "--width", "0.05", "--out", "grid.yaml"]) == 1
    assert capsys.readouterr().err == (
        "walking-noise: grid.yaml exists; move it away, or choose another name with --out\n"
    )
    assert Path("grid.yaml").read_text() == "mine"


def test_nothing_to_run(first_stage: FakeStudy, capsys: pytest.CaptureFixture[str]):
    fine = [10 ** (-2 + step / 10) for step in range(41)]
    first_stage.series({"model.batch_norm": True}, 0.8, fine, repetitions=16)
    assert main(["refine", "coarse", "--width", "0.2"]) == 0
    printed = capsys.readouterr().out
    assert "no further seeds or levels needed" in printed
    assert "no grid was written" in printed
    assert not list(Path().iterdir())


@pytest.mark.parametrize(
    ("width", "repetitions", "fault"), [("0", 3, "width 0: "), ("0.05", 1, "every series has one")]
)
def test_bad_input(
    first_stage: FakeStudy, capsys: pytest.CaptureFixture[str], width: str, repetitions: int, fault: str
):
    fill(first_stage, repetitions=repetitions)
    assert main(["refine", "coarse", "--width", width]) == 1
    assert f"walking-noise: {fault}" in capsys.readouterr().err
    assert not list(Path().iterdir())


def test_noise_seeds_that_differ(first_stage: FakeStudy, capsys: pytest.CaptureFixture[str]):
    for seed in range(3):
        first_stage.series({"model.batch_norm": True, "noise.seed": seed + 5}, 0.8, COARSE, repetitions=1)
    assert main(["refine", "coarse", "--width", "0.05"]) == 1
    assert "walking-noise: noise.seed differs between the runs of a series" in capsys.readouterr().err
