"""Demo on a small grid: interrupted, resumed, and called again."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from experiments.database.connection import Document
from experiments.database.embedded_server import DATABASE, EmbeddedDatabase
from experiments.submit.environment import not_allowed
from tests.experiments.shell import ROOT, choice, on_cores, write_grid
from tests.forked import Forked


def start(folder: Path, grid: Path) -> subprocess.Popen[str]:
    script = (
        "import sys; from pathlib import Path; from experiments.submit.demo_study import demo; "
        "demo(*map(Path, sys.argv[1:]))"
    )
    with on_cores(1):
        return Forked(
            [sys.executable, "-c", script, str(folder), str(grid)],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT), "SOME_SECRET": "x"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )


def run(folder: Path, grid: Path) -> str:
    with start(folder, grid) as process:
        output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    return output


def processes_using(folder: Path) -> list[str]:
    """Command lines of running processes that name the folder, or have it in their environment."""
    commands = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            content = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
        except OSError:
            continue
        if str(folder).encode() in content:
            commands.append((process / "cmdline").read_text().replace("\0", " "))
    return commands


def small_grid(folder: Path, epochs: int) -> Path:
    return write_grid(
        folder,
        fixed={"training.epochs": epochs, "noise.kind": "additive"},
        grid={"noise.std": choice(0.1, 1.0, 10.0), "seed": choice(0, 1)},
    )


def table(output: str) -> str:
    return output[output.index("Runs: ") :]


@pytest.mark.slow
def test_an_interrupted_demo_resumes_and_a_third_call_trains_nothing(tmp_path: Path):
    folder, grid = tmp_path / "demo", small_grid(tmp_path, epochs=60)
    with start(folder, grid) as process:
        while not list((tmp_path / "logs").glob("demo_2.out")):
            assert process.poll() is None, process.stdout.read() if process.stdout else ""
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGINT)
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert "0 of 6 runs done" in output
    assert "stopping" in output
    assert processes_using(folder) == []

    runs = shorten(folder)
    assert [run["status"] for run in runs] == ["PENDING"] * 6
    assert [not_allowed(run["seml"]["env"]) for run in runs] == [[]] * 6
    first = run(folder, grid)
    assert re.search(r"6 runs in \d+:\d\d \(\d+ runs/min\)", first)
    assert "Runs: 6 planned, 6 completed" in first
    assert f"{folder / 'report' / 'index.html'}" in first
    assert (folder / "report" / "index.html").exists()

    assert first.splitlines()[-3:] == [
        f"    walking-noise db start --folder {folder}",
        f'    eval "$(walking-noise db env --folder {folder})"',
        "    seml demo status",
    ]

    second = run(folder, grid)
    assert "all 6 runs are completed" in second
    assert table(second) == table(first)
    assert processes_using(folder) == []


def shorten(folder: Path) -> list[Document]:
    """The runs as they were; their number of epochs is reduced to one."""
    database = EmbeddedDatabase(folder)
    assert not database.server.running
    database.start()
    account = database.access
    assert account is not None
    with account.client() as client:
        runs = client[DATABASE]["demo"]
        unchanged = list(runs.find())
        runs.update_many({}, {"$set": {"config.training.epochs": 1}})
    database.stop()
    return unchanged


@pytest.mark.slow
def test_a_changed_grid_replaces_the_runs(tmp_path: Path):
    folder, grid = tmp_path / "demo", tmp_path / "grid.yaml"
    folder.mkdir()
    (folder / "data").mkdir()
    (folder / "grid.yaml").write_text("another grid")
    grid.write_text(yaml.safe_dump({"seml": {"executable": "experiments/missing.py"}}))
    with start(folder, grid) as process:
        output, _ = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "grid.yaml has changed: its previous runs are deleted" in output
    assert "EXECUTABLE ERROR: Could not find the executable." in output
    assert "UserError: `seml demo add` failed (exit code 1); see" in output.splitlines()[-1]
    assert processes_using(folder) == []
