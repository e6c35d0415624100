from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from experiments.database.connection import Document
from experiments.database.source_files import commit_of


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=Tester", "-c", "user.email=tester@localhost"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout in a subfolder of its repository, with its code committed."""
    checkout = tmp_path / "repository" / "project"
    for package in ("walking_noise", "experiments"):
        (checkout / package / "parts").mkdir(parents=True)
        (checkout / package / "parts" / "some.py").write_text(f"{package}\n")
    (checkout / "notes.txt").write_text("not code")
    git(tmp_path / "repository", "init", "-q")
    git(checkout, "add", ".")
    git(checkout, "commit", "-q", "-m", "first")
    return checkout


@pytest.fixture
def sources(checkout: Path, tmp_path: Path) -> Path:
    """The copy of the code that SEML stores."""
    return Path(shutil.copytree(checkout, tmp_path / "sources"))


def added(checkout: Path, *, dirty: bool = False) -> Document:
    recorded = {"commit": git(checkout, "rev-parse", "HEAD"), "dirty": dirty}
    return {"git": recorded, "seml": {"working_dir": str(checkout)}}


def test_committed_code_has_its_commit(checkout: Path, sources: Path):
    run = added(checkout)
    assert commit_of(run, sources) == run["git"]["commit"]


def test_part_of_the_code_has_its_commit(checkout: Path, sources: Path):
    """SEML stores imported modules only."""
    (sources / "experiments" / "parts" / "some.py").unlink()
    run = added(checkout)
    assert commit_of(run, sources) == run["git"]["commit"]


@pytest.mark.parametrize("name", ["new.py", "some.py"])
def test_new_and_changed_code_is_marked(checkout: Path, sources: Path, name: str):
    """A new noise kind or model is a new file, which SEML does not count as a change."""
    run = added(checkout)
    (sources / "walking_noise" / "parts" / name).write_text("1")
    assert commit_of(run, sources) == run["git"]["commit"] + "+"


def test_changes_recorded_by_seml_are_marked(checkout: Path, sources: Path):
    run = added(checkout, dirty=True)
    assert commit_of(run, sources) == run["git"]["commit"] + "+"


def test_later_changes_in_the_checkout_do_not_count(checkout: Path, sources: Path):
    run = added(checkout)
    (checkout / "walking_noise" / "parts" / "some.py").write_text("2")
    git(checkout, "commit", "-q", "-a", "-m", "second")
    assert commit_of(run, sources) == run["git"]["commit"]


def test_without_the_checkout_the_commit_of_seml_is_returned(checkout: Path, sources: Path):
    run = added(checkout)
    (sources / "walking_noise" / "parts" / "new.py").write_text("1")
    shutil.rmtree(checkout)
    assert commit_of(run, sources) == run["git"]["commit"]


def test_code_outside_git_has_no_commit(checkout: Path, sources: Path):
    assert commit_of({"git": None, "seml": {}}, sources) is None
