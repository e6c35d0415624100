"""Executable of the grids, called by hand, and settings that ``seml add`` rejects."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from experiments.database.connection import Runs
from tests.experiments.shell import ROOT, Shell, write_grid

TRAIN = str(ROOT / "experiments" / "train.py")


def without_filters(shell: Shell) -> dict[str, str]:
    """The environment of the shell, in which Python shows warnings."""
    return {name: value for name, value in shell.environment.items() if name != "PYTHONWARNINGS"}


def test_a_run_by_hand_needs_no_database(shell: Shell, tmp_path: Path):
    command = ("python", TRAIN, "with", "noise.std=0.5", "noise.point=2", "training.epochs=2", "seed=4")
    environment = without_filters(shell) | {"XDG_CONFIG_HOME": str(tmp_path)}
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=120)
    result = json.loads(finished.stdout)
    assert result["epochs"] == 2
    assert "Warning" not in finished.stderr
    assert result["audit"]["inference"]["std_add"][2] == pytest.approx(0.5, rel=0.1)
    assert "1 of 2 epochs, " in finished.stderr
    assert finished.stderr.splitlines()[-1] == f"accuracy {result['accuracy']:.3f} (trained)"


def test_a_run_by_hand_that_fails_prints_the_reason_in_its_last_line(shell: Shell):
    command = ("python", TRAIN, "with", "data.name=cifar10", "model.name=lenet5")
    finished = shell.capture(*command)
    assert (finished.returncode, finished.stdout) == (1, "")
    assert finished.stderr.splitlines()[-1].startswith("the run failed: data set cifar10")
    assert "epochs" not in finished.stderr


@pytest.mark.parametrize(
    ("setting", "line"),
    [
        (
            "noise.std=-1",
            "CONFIG ERROR: noise.std: -1 is refused; "
            "allowed: a finite number >= 0, or a list of them, one for each noise point",
        ),
        ("noise.stdd=1", "CONFIG ERROR: noise.stdd: there is no such setting; did you mean noise.std?"),
    ],
)
def test_an_invalid_value_by_hand_prints_one_line(shell: Shell, setting: str, line: str):
    with shell.start("python", TRAIN, "with", setting) as process:
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert output.splitlines() == [line]


def test_seml_add_rejects_an_invalid_value_in_one_line_and_adds_nothing(shell: Shell, runs: Runs, tmp_path: Path):
    grid = write_grid(tmp_path, grid={"noise.point": {"type": "choice", "options": [3, 99]}})
    with shell.start("seml", runs.name, "add", str(grid)) as process:
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    (line,) = output.strip().splitlines()
    assert line.startswith("CONFIG ERROR: noise.point: 99 is refused")
    assert runs.count_documents({}) == 0
