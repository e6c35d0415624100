"""Compilation and loading of the CPU kernels: cached, repaired, and left out where it fails."""

from __future__ import annotations

import ctypes
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from walking_noise.cpu_kernels import library
from walking_noise.cpu_kernels.library import find_compiler


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty cache directory, in which this process has not looked yet."""
    if find_compiler() is None:
        pytest.skip("no C compiler")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    library.library.cache_clear()
    yield tmp_path / "walking_noise" / "kernels"
    library.library.cache_clear()


def test_a_compiled_file_is_kept_and_used_again(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(library.library(), ctypes.CDLL)
    (file,) = cache.iterdir()
    library.library.cache_clear()
    monkeypatch.setattr(library, "_compile", None)
    loaded = library.library()
    assert loaded is not None
    assert loaded._name == str(file)


def test_a_damaged_file_is_compiled_again(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library.library()
    (file,) = cache.iterdir()
    damaged = tmp_path / "other" / "walking_noise" / "kernels" / file.name
    damaged.parent.mkdir(parents=True)
    damaged.write_bytes(b"damaged")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    library.library.cache_clear()
    assert isinstance(library.library(), ctypes.CDLL)
    assert damaged.read_bytes() == file.read_bytes()


def test_a_cache_that_cannot_be_written_is_replaced_by_a_temporary_folder(cache: Path) -> None:
    cache.parent.write_text("a file in place of the folder")
    loaded = library.library()
    assert loaded is not None
    assert hasattr(loaded, "chain_forward")
    assert not Path(loaded._name).exists()


@pytest.mark.parametrize(("script", "reason"), [("echo broken >&2; exit 3", "broken"), ("exit 0", "")])
def test_a_compiler_that_fails_is_reported(
    script: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    compiler = tmp_path / "compiler"
    compiler.write_text(f"#!/bin/sh\n{script}\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("CC", str(compiler))
    with caplog.at_level(logging.WARNING):
        assert library.library() is None
    assert "the CPU kernels could not be compiled or loaded, so trainings take longer: " in caplog.text
    assert reason in caplog.text


def test_fast_mathematics_is_refused(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(library, "ROUNDING", ("-ffast-math",))
    with caplog.at_level(logging.WARNING):
        assert library.library() is None
    assert "could not be compiled" in caplog.text
