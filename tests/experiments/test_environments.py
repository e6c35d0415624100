"""Programs in the environments that users have: terminals, accounts, warnings, folders."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.database.embedded_server import EmbeddedDatabase
from experiments.submit import seml_command
from tests.analysis.conftest import ADDITIVE, FakeStudy
from tests.experiments.shell import ROOT, Shell
from tests.experiments.submit import test_demo as demo

ASCII = {"LC_ALL": "C", "LANG": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
ENVIRONMENTS = {
    "jupyter": {"MPLBACKEND": "module://matplotlib_inline.backend_inline"},
    "ascii": ASCII,
    "dumb": {"TERM": "dumb"},
    "warnings": {"PYTHONWARNINGS": "error"},
    "no home": {"HOME": "/proc/nobody"},
    "comma": {"LC_ALL": "de_DE.UTF-8", "LC_NUMERIC": "de_DE.UTF-8"},
    "conda": {"CONDA_PREFIX": "/opt/conda", "CONDA_DEFAULT_ENV": "base", "CONDA_SHLVL": "1"},
    "modules": {"PYTHONPATH": f"{ROOT}:/opt/modules/lib/python3.11/site-packages", "LOADEDMODULES": "python/3.11"},
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    study = FakeStudy()
    study.series({}, 1.0, ADDITIVE)
    return study.save(tmp_path_factory.mktemp("runs") / "runs.jsonl.gz")


def check_programs(shell: Shell, runs: Path, folder: Path) -> None:
    """The doctor and the report end without a traceback, and print what they print elsewhere."""
    for command, expected in (
        (("walking-noise", "doctor"), r"(?s)ok +dependencies: .*\nerrors: \d+, warnings: \d+\n"),
        (("walking-noise", "settings"), r"noise\.std .*\d"),
        (
            ("python", "-m", "analysis.report", "--from", str(runs), "--out", str(folder)),
            r"(μ|mu|\?) .*\n(?s:.)*index.html",
        ),
    ):
        with shell.start(*command, executed=True) as process:
            output, _ = process.communicate(timeout=120)
        assert "Traceback" not in output, output
        assert process.returncode in (0, *([1] if "doctor" in command else [])), output
        assert re.search(expected, output), output


@pytest.mark.slow
def test_all_at_once(shell: Shell, runs: Path, tmp_path: Path):
    merged = {name: value for variables in ENVIRONMENTS.values() for name, value in variables.items()}
    check_programs(shell.having({**merged, **ASCII}), runs, tmp_path / "report")


@pytest.mark.slow
@pytest.mark.parametrize("variables", ENVIRONMENTS.values(), ids=ENVIRONMENTS)
def test_programs(shell: Shell, runs: Path, tmp_path: Path, variables: dict[str, str]):
    check_programs(shell.having(variables), runs, tmp_path / "a report")


@pytest.mark.slow
@pytest.mark.parametrize("limit", [["taskset", "-c", "0"], ["prlimit", "--as=8000000000"]], ids=["core", "memory"])
def test_programs_with_little(shell: Shell, runs: Path, tmp_path: Path, limit: list[str]):
    command = ("python", "-m", "analysis.report", "--from", str(runs), "--out", str(tmp_path / "report"))
    assert "index.html" in shell.run(*limit, *command)
    assert "accuracy" in shell.run(
        *limit, "python", str(ROOT / "experiments" / "train.py"), "with", "training.epochs=1"
    )


DEMO = """
import sys
from pathlib import Path
from experiments.cli import app
from experiments.submit import demo_study

demo, folders = demo_study.demo, map(Path, sys.argv[1:])
demo_study.demo = lambda: demo(*folders)
sys.exit(app.main(["demo"]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["jupyter", "ascii", "warnings"])
def test_the_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str):
    for variable, value in ENVIRONMENTS[name].items():
        monkeypatch.setenv(variable, value)
    folder, grid = tmp_path / "a demo", demo.small_grid(tmp_path, epochs=1)
    command = [sys.executable, "-c", DEMO, str(folder), str(grid)]
    finished = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, timeout=300)
    assert finished.returncode == 0, finished.stderr
    assert b"Traceback" not in finished.stdout + finished.stderr
    assert (folder / "report" / "index.html").exists()
    assert demo.processes_using(folder) == []


@pytest.mark.slow
def test_two_demos_at_once(tmp_path: Path):
    folders = []
    for name in ("one", "two"):
        folders.append(tmp_path / name)
        folders[-1].mkdir()
    started = [demo.start(folder / "demo", demo.small_grid(folder, epochs=1)) for folder in folders]
    outputs = [process.communicate(timeout=300)[0] for process in started]
    assert [process.returncode for process in started] == [0, 0], outputs
    assert all("Runs: 6 planned, 6 completed" in output for output in outputs)


@pytest.mark.parametrize(
    "command",
    [
        ["-m", "experiments.cli.app", "settings"],
        pytest.param(["-m", "analysis.report", "--from", "{runs}", "--out", "{out}"], marks=pytest.mark.slow),
    ],
    ids=["settings", "report"],
)
def test_a_reader_that_closes_the_pipe(shell: Shell, runs: Path, tmp_path: Path, command: list[str]):
    reader, writer = os.pipe()
    os.close(reader)
    arguments = [text.format(runs=runs, out=tmp_path / "report") for text in command]
    finished = subprocess.run(
        [sys.executable, *arguments],
        env=shell.environment,
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        timeout=120,
    )
    os.close(writer)
    assert "Error" not in finished.stderr
    assert finished.returncode in (0, 1)


NOBODY = """
import os, pwd

def missing(key):
    raise KeyError(f"getpwuid(): uid not found: {key}")

pwd.getpwuid = missing
from walking_noise.process_setup import set_up
set_up()
print(os.environ["USER"], os.environ["HOME"])
"""


@pytest.mark.parametrize("then", ["", pytest.param("import torch._dynamo", marks=pytest.mark.slow)])
def test_a_user_without_an_entry(shell: Shell, then: str, tmp_path: Path):
    environment = {name: value for name, value in shell.environment.items() if name not in ("HOME", "USER", "LOGNAME")}
    command = [sys.executable, "-c", f"{NOBODY}{then}"]
    variables = {**environment, "TMPDIR": str(tmp_path)}
    finished = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=120)
    assert (finished.returncode, finished.stdout) == (0, f"{os.getuid()} {tmp_path}\n"), finished.stderr


def test_seml_below_a_path_with_a_space_stores_no_variable_of_a_shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    """Installers write such a script as one of a shell that executes itself by Python."""
    script = tmp_path / "a folder" / "seml"
    script.parent.mkdir()
    script.write_text(
        f"#!/bin/sh\n'''exec' \"{sys.executable}\" \"$0\" \"$@\"\n' '''\nimport os\nprint(sorted(os.environ))\n"
    )
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(seml_command, "SEML", [*seml_command.SEML[:-1], str(script)])
    assert seml_command.run([], {"HOME": "/"}) == 0
    assert "PWD" not in capfd.readouterr().out


@pytest.mark.slow
def test_a_checkout_behind_a_link(shell: Shell, embedded: EmbeddedDatabase, tmp_path: Path):
    """Its path has a space, too."""
    link = tmp_path / "my checkout"
    link.symlink_to(ROOT)
    grid = demo.small_grid(tmp_path, epochs=1)
    grid.write_text(grid.read_text().replace(str(ROOT), str(link)))
    linked = shell.having({"PYTHONPATH": str(link)})
    linked.run("walking-noise", "add", "linked", str(grid), executed=True)
    linked.run("walking-noise", "start", "linked", "--local", executed=True)
    assert "6 of 6 done" in linked.run("walking-noise", "watch", "linked", "--once", executed=True)
    output = linked.start("walking-noise", "doctor", "linked", executed=True).communicate(timeout=120)[0]
    assert not re.search("(warning|error) +(secrets|sources|options of runs)", output), output
