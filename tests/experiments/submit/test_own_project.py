"""The example project of the documentation: a network and a data set of one's own, from the grid to the report."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from experiments.database.embedded_server import DATABASE, EmbeddedDatabase
from tests.experiments.shell import ROOT, Shell

PROJECT = ROOT / "docs" / "own_network"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    shutil.copytree(PROJECT, folder, ignore=shutil.ignore_patterns("__pycache__"))
    name = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    for command in (["init", "-q"], ["add", "-A"], [*name, "commit", "-qm", "Project"]):
        subprocess.run(["git", *command], cwd=folder, check=True)
    return folder


@pytest.mark.slow
def test_a_study_of_the_project(
    project: Path, embedded: EmbeddedDatabase, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    assert "135 " in shell.run("walking-noise", "plan", "grid.yaml")
    assert "135 runs added" in shell.run("walking-noise", "add", "own", "grid.yaml")
    networks = project / "my_project" / "networks.py"
    networks.write_text("raise SystemExit('the runs use the stored sources')")
    output = shell.run("seml", "own", "start", "--local")
    assert embedded.access is not None
    with embedded.access.client() as client:
        runs = list(client[DATABASE]["own"].find())
    assert [run["status"] for run in runs] == ["COMPLETED"] * 135, output
    stored = {path for path, _ in runs[0]["seml"]["source_files"]}
    assert stored == {"train.py", *(f"my_project/{name}.py" for name in ("__init__", "networks", "digits"))}
    points = [point["name"] for point in runs[0]["result"]["points"]]
    assert points == ["input", "stem", "block.conv1", "block.conv2", "head"]
    clean = [run["result"]["accuracy"] for run in runs if run["config"]["noise"]["std"] == 0.1]
    noisy = [run["result"]["accuracy"] for run in runs if run["config"]["noise"]["std"] == 1000]
    assert sum(clean) / len(clean) > 0.75 > 0.6 > sum(noisy) / len(noisy)
    shell.run("python", "-m", "analysis.report", "own", "--out", "report")
    assert "block.conv2" in (project / "report" / "index.html").read_text()
