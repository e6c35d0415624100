"""Command ``walking-noise``."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import walking_noise
from experiments.cli.app import main
from experiments.database.embedded_server import EmbeddedDatabase
from tests.experiments.shell import ROOT, Shell


def test_version(capsys: pytest.CaptureFixture[str]):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"walking_noise {walking_noise.__version__}\n"


def test_the_life_cycle_of_an_embedded_database(tmp_path: Path):
    folder = tmp_path / "it's here"

    def command(action: str) -> tuple[int, str, str]:
        arguments = [sys.executable, "-m", "experiments.cli.app", "db", action, "--folder", str(folder)]
        finished = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True)
        return finished.returncode, finished.stdout, finished.stderr

    assert command("status")[:2] == (3, f"not running: {folder}\n")
    assert command("stop")[:2] == (0, f"not running: {folder}\n")
    code, _, error = command("env")
    assert code == 1
    assert len(error.splitlines()) == 1
    assert "walking-noise db start" in error
    assert not folder.exists()
    code, printed, _ = command("start")
    assert (code, printed.split()[0]) == (0, "started:")
    try:
        assert command("start")[1].startswith("already running: 127.0.0.1:")
        code, printed, _ = command("status")
        assert (code, printed.split(":")[0]) == (0, "running")
        export = command("env")[1]
        assert "other programs read their configuration from there" in export
        script = 'eval "$0"; printf %s "$XDG_CONFIG_HOME"'
        shown = subprocess.run(["sh", "-c", script, export], capture_output=True, text=True, check=True)
        assert (shown.stdout, shown.stderr) == (str(folder), "")
    finally:
        assert command("stop")[:2] == (0, f"stopped: {folder}\n")
    assert "walking-noise: the embedded database is not running" in command("env")[2]


EXTRAS = ("yaml", "seml", "sacred", "pymongo", "bson", "packaging", "jinja2", "pyarrow")
"""Modules of the extras; the core depends on pandas and matplotlib through mlxtend."""


@pytest.mark.parametrize(
    ("arguments", "code", "error"),
    [
        (["--version"], 0, ""),
        pytest.param(["points", "mlp"], 0, "", marks=pytest.mark.slow),
        (["db", "status", "--folder", "none"], 3, ""),
        (["watch", "first"], 1, "pymongo"),
        (["plan", "grid.yaml"], 1, "(yaml|pymongo|seml)"),
    ],
)
def test_without_extras(arguments: list[str], code: int, error: str):
    """The core has the command line; a command that needs an extra names it in one line."""
    script = (
        f"import sys; sys.modules |= dict.fromkeys({EXTRAS}); "
        "from experiments.cli.app import main; sys.exit(main(sys.argv[1:]))"
    )
    finished = subprocess.run([sys.executable, "-c", script, *arguments], cwd=ROOT, capture_output=True, text=True)
    assert finished.returncode == code
    line = rf"walking-noise: .*\b{error}\b.*; in the checkout, run `pip install '.\[cluster\]'`\n"
    assert re.fullmatch(line if error else "", finished.stderr)


@pytest.mark.parametrize("arguments", [["--help"], ["plan", "--help"], ["db", "stop", "--folder", "none"]])
def test_the_command_starts_without_loading_large_libraries(arguments: list[str]):
    script = (
        "import sys; from experiments.cli.app import main; main(sys.argv[1:]); "
        "sys.exit(' '.join({'torch', 'seml', 'pandas', 'pymongo'} & {*sys.modules}))"
    )
    finished = subprocess.run([sys.executable, "-c", script, *arguments], cwd=ROOT, capture_output=True, text=True)
    assert finished.stderr.strip() == ""


def test_data_sets(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    root = ["--root", str(tmp_path)]
    assert main(["data", "list", *root]) == 0
    listed = capsys.readouterr().out
    assert "mnist5k: present" in listed
    assert f"cifar10: missing in {tmp_path}" in listed
    assert main(["data", "check", "mnist5k", *root]) == 0
    assert "mnist5k: intact, 4000 + 1000 samples" in capsys.readouterr().out
    assert f"gsc: missing in {tmp_path}/SpeechCommands" in listed
    assert main(["data", "check", "cifar10", *root]) == 1
    assert "walking-noise data get cifar10" in capsys.readouterr().err
    assert main(["data", "get", "mnist6k", *root]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("walking-noise: data.name: 'mnist6k' is refused")


def test_no_database(shell: Shell, embedded: EmbeddedDatabase, tmp_path: Path):
    """The error of a worker if SEML is not configured or its database rejects the password."""
    script = (
        "from experiments.database.connection import connect\ntry: connect()\nexcept Exception as error: print(error)"
    )

    def message() -> str:
        (line,) = shell.run("python", "-c", script, XDG_CONFIG_HOME=str(tmp_path)).splitlines()
        return line

    assert "run `seml configure`" in message().replace("Run", "run")
    configuration = tmp_path / "seml" / "mongodb.config"
    configuration.parent.mkdir()
    valid = embedded.configuration.read_text()
    configuration.write_text(valid.replace("password: ", "password: not"))
    assert "refuses SEML's configuration" in message()
