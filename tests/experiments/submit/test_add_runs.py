"""Grids are added completely or not at all, and without the secrets of the shell."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from pymongo import MongoClient
from seml.settings import SETTINGS

from experiments.cli.app import main
from experiments.database.collection_names import check_name
from experiments.database.connection import Document
from experiments.database.embedded_server import DATABASE
from experiments.submit.add_runs import JOB_SHELL_SETUP, check
from experiments.submit.environment import not_allowed
from tests.experiments.shell import Shell, choice, on_cores, write_grid

GRID = {"fixed": {"noise.kind": "additive"}, "grid": {"noise.std": choice(0.5, 1.0), "seed": choice(0, 1)}}


def repository(folder: Path, *commands: str) -> Path:
    """A grid whose code is in a git repository of its own."""
    (folder / "experiments").mkdir(parents=True)
    (folder / "experiments" / "train.py").write_text("")
    for command in ("git init --quiet", *commands):
        subprocess.run(command.split(), cwd=folder, check=True, env=os.environ | {"HOME": str(folder)})
    grid = write_grid(folder, seml={"project_root_dir": "."}, **GRID)
    return grid


COMMIT = "git -c user.name=a -c user.email=b commit --quiet --allow-empty -m c"


@pytest.mark.slow
def test_all_runs_are_added_with_the_variables_that_jobs_need(
    shell: Shell, configured: None, client: MongoClient[Document], tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    grid = write_grid(tmp_path, **GRID)
    variables = {"MY_TOKEN": "hidden", "OMP_NUM_THREADS": "4", "BASH_ENV": "/mine", "PYTHONWARNINGS": ""}
    shell = shell.having(variables)
    command = ["add", "added", str(grid), "--keep", "OMP_NUM_THREADS", "-o", "{'training.epochs': 3}"]
    output = shell.run("walking-noise", *command, "-d", "my description", executed=True)
    assert "Adding 4 configs to the database (batch-ID 1)." in output
    assert output.splitlines()[-1].startswith("4 runs added to added; ")
    assert "pkg_resources" not in output
    assert "hidden" not in output
    documents = list(client[DATABASE]["added"].find())
    assert [document["config"]["training"]["epochs"] for document in documents] == [3] * 4
    assert {document["seml"]["description"] for document in documents} == {"my description"}
    for document in documents:
        environment = document["seml"]["env"]
        assert not_allowed(environment) == []
        assert (environment["OMP_NUM_THREADS"], environment["BASH_ENV"]) == ("4", str(JOB_SHELL_SETUP))
        assert environment["XDG_CONFIG_HOME"] == str(shell.folder)
    assert JOB_SHELL_SETUP.exists()
    assert main(command) == 0
    assert "0 runs added to added (4 already present)" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("sections", "reason"),
    [
        ({"fixed": {"noise.std": -1.0}}, "noise.std: -1.0 is refused"),
        ({"fixed": {"noise.stdd": 1.0}}, "there is no such setting; did you mean noise.std"),
        ({"seml": {"executable": "experiments/none.py"}}, "Could not find the executable"),
        ({"grid": {"seed": choice()}}, "the grid has no values"),
        (
            {"fixed": {"model.batch_norm": True, "training.batch_size": 3999}},
            "training.batch_size: 3999 is refused; with 4000 training samples the last batch has one sample",
        ),
        ({"slurm": [{"sbatch_options": {"export": "ALL,WALKING_NOISE_DEVICE=tpu"}}]}, "WALKING_NOISE_DEVICE: 'tpu' is"),
    ],
)
def test_an_invalid_file_prevents_the_addition_of_a_valid_one(
    sections: dict[str, Any], reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    valid = write_grid(tmp_path, **GRID).rename(tmp_path / "valid.yaml")
    invalid = write_grid(tmp_path, **sections)
    with on_cores(1):  # so that the files are read in this process
        assert main(["add", "none", str(valid), str(invalid)]) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith(f"walking-noise: {invalid}: ")
    assert reason in last


def test_an_invalid_option_of_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("WALKING_NOISE_LEASE_SECONDS", "5m")
    assert main(["add", "none", str(write_grid(tmp_path, **GRID))]) == 1
    assert capsys.readouterr().err.startswith("walking-noise: WALKING_NOISE_LEASE_SECONDS: '5m' is refused; allowed: ")
    assert main(["start", "none", "--local"]) == 1


NAMES = (
    *("a/b", "a b", "a$b", "a\0b", "", ".a", "a.", "a..b", "x" * 201, "add", "list", "project"),
    *("metrics", "_properties", "system.x", "fs.files", "walking_noise.attempts", "a.files", "a.chunks"),
)


@pytest.mark.parametrize("name", NAMES)
def test_names_that_a_collection_cannot_have(name: str, capsys: pytest.CaptureFixture[str]):
    assert main(["add", name, "grid.yaml"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"walking-noise: {name[:200]!r} cannot be the name of a collection: ")


def test_names_that_a_collection_can_have():
    for name in ("table1_mnist", "a.b-c", "Überblick", "x" * 200):
        check_name(name)


def test_a_missing_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["add", "none", str(tmp_path / "missing.yaml")]) == 1
    assert capsys.readouterr().err == f"walking-noise: {tmp_path / 'missing.yaml'}: there is no such file\n"


@pytest.mark.parametrize("value", ["1", "{", "[]"])
def test_a_value_that_is_not_a_dictionary(value: str, capsys: pytest.CaptureFixture[str]):
    assert main(["add", "none", "grid.yaml", "-o", value]) == 2
    assert f"{value!r} is not a dictionary" in capsys.readouterr().err


def test_overwritten_settings_are_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    grid = write_grid(tmp_path, fixed={"noise.std": -1.0})
    assert check([grid], {"noise.std": 1.0}) == 1
    assert main(["add", "none", str(write_grid(tmp_path, **GRID)), "-o", "{'seed': -1}"]) == 1
    assert "seed: -1 is refused" in capsys.readouterr().err


def test_a_repository_without_commits(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    grid = repository(tmp_path)
    assert main(["add", "none", str(grid)]) == 1
    assert "has no commit, but SEML stores one with every run; create one with `git commit`" in capsys.readouterr().err
    shutil.rmtree(tmp_path / ".git")
    assert check([grid]) == 4


def test_a_repository_of_another_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """Git has a variable by which its own tests pretend that every repository belongs to somebody else."""
    grid = repository(tmp_path, COMMIT)
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    assert main(["add", "none", str(grid)]) == 1
    *_, line = capsys.readouterr().err.splitlines()
    assert "git: detected dubious ownership in repository at " in line
    subprocess.run(shlex.split(line.split("`")[1]), check=True)
    assert check([grid]) == 4


def test_a_git_remote_with_a_token(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    grid = repository(tmp_path, COMMIT, "git remote add origin https://me:hidden@host/code.git")
    assert main(["add", "none", str(grid)]) == 1
    output = capsys.readouterr().err
    assert "the address of the git remote" in output
    assert "hidden" not in output


def test_a_file_that_only_seml_rejects(
    configured: None, client: MongoClient[Document], tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    grid = write_grid(tmp_path, **GRID)
    grid.write_text(yaml.safe_dump(yaml.safe_load(grid.read_text()) | {"slurm": [{"sbatch_options_template": "NONE"}]}))
    assert main(["add", "rejected", str(grid)]) == 1
    output, errors = capfd.readouterr()
    assert "sbatch options template 'NONE' not found" in output + errors
    assert errors.endswith("walking-noise: `seml rejected add` failed with the error above; 0 runs added\n")
    assert client[DATABASE]["rejected"].count_documents({}) == 0


@pytest.mark.parametrize("command", ["add", "start", "scrub"])
def test_without_a_database(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(SETTINGS.DATABASE, "MONGODB_CONFIG_PATH", tmp_path / "none")
    files = [str(write_grid(tmp_path, **GRID))] if command == "add" else []
    assert main([command, "none", *files]) == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith("walking-noise: no database: ")
