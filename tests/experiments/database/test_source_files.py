from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from experiments.database.connection import Document
from experiments.database.source_files import commit_of


def git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=Tester", "-c", "user.email=tester@localhost"]
    command = ["git", "-C", str(folder), *who, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout below the root of its repository, with its code committed."""
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
    """The copy that SEML keeps of the code."""
    return Path(shutil.copytree(checkout, tmp_path / "sources"))


def added(checkout: Path, *, dirty: bool = False) -> Document:
    noted = {"commit": git(checkout, "rev-parse", "HEAD"), "dirty": dirty}
    return {"git": noted, "seml": {"working_dir": str(checkout)}}


def test_committed_code_has_its_commit(checkout: Path, sources: Path):
    run = added(checkout)
    assert commit_of(run, sources) == run["git"]["commit"]


def test_part_of_the_code_has_its_commit(checkout: Path, sources: Path):
    """SEML keeps what is imported."""
    (sources / "experiments" / "parts" / "some.py").unlink()
    run = added(checkout)
    assert commit_of(run, sources) == run["git"]["commit"]


@pytest.mark.parametrize("name", ["new.py", "some.py"])
def test_new_and_changed_code_is_marked(checkout: Path, sources: Path, name: str):
    """A new noise kind or model is a new file, which SEML does not call a change."""
    run = added(checkout)
    (sources / "walking_noise" / "parts" / name).write_text("1")
    assert commit_of(run, sources) == run["git"]["commit"] + "+"


def test_changes_that_seml_noted_are_marked(checkout: Path, sources: Path):
    run = added(checkout, dirty=True)
    assert commit_of(run, sources) == run["git"]["commit"] + "+"


def test_later_changes_in_the_checkout_do_not_count(checkout: Path, sources: Path):
    run = added(checkout)
    (checkout / "walking_noise" / "parts" / "some.py").write_text("2")
    git(checkout, "commit", "-q", "-a", "-m", "second")
    assert commit_of(run, sources) == run["git"]["commit"]


def test_where_the_checkout_is_not_there_seml_is_believed(checkout: Path, sources: Path):
    run = added(checkout)
    (sources / "walking_noise" / "parts" / "new.py").write_text("1")
    shutil.rmtree(checkout)
    assert commit_of(run, sources) == run["git"]["commit"]


def test_code_outside_git_has_no_commit(checkout: Path, sources: Path):
    assert commit_of({"git": None, "seml": {}}, sources) is None
