"""Provenance of a result."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import walking_noise
from walking_noise import RunConfig
from walking_noise.checkpoints import provenance
from walking_noise.data import DataSet

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def uncached_commit() -> Iterator[None]:
    """The commit is determined again in each test."""
    provenance.commit.cache_clear()
    yield
    provenance.commit.cache_clear()


def test_provenance_of_a_result(digits: DataSet) -> None:
    names = provenance.provenance(RunConfig(), digits, CPU)
    assert names["version"] == walking_noise.__version__
    assert names["data_checksum"] == digits.checksum
    assert names["torch"] == torch.__version__
    assert names["cuda"] is None
    assert names["layers"] is None
    assert names["device"]
    assert set(names) == {"version", "commit", "data_checksum", "torch", "cuda", "device", "layers"}


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout that contains the code."""
    package = tmp_path / "walking_noise"
    package.mkdir()
    (package / "provenance.py").write_text("1")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "first")
    monkeypatch.setattr(provenance, "PACKAGE", package)
    return tmp_path


def test_the_commit_is_that_of_the_checkout(checkout: Path) -> None:
    commit = provenance.commit()
    assert commit == git(checkout, "rev-parse", "HEAD")
    assert re.fullmatch("[0-9a-f]{40}", commit)


def test_changed_code_is_marked(checkout: Path) -> None:
    (checkout / "notes.txt").write_text("not code")
    assert not str(provenance.commit()).endswith("+")
    (checkout / "walking_noise" / "provenance.py").write_text("2")
    provenance.commit.cache_clear()
    assert provenance.commit() == git(checkout, "rev-parse", "HEAD") + "+"


def test_new_code_is_marked(checkout: Path) -> None:
    """A new noise kind or model is a new file."""
    (checkout / "walking_noise" / "new_kind.py").write_text("1")
    assert provenance.commit() == git(checkout, "rev-parse", "HEAD") + "+"


def test_outside_a_checkout_there_is_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "PACKAGE", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert provenance.commit() is None


def test_without_git_there_is_no_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert provenance.commit() is None
