"""Helpers of the tests that add models and kinds of noise."""

from __future__ import annotations

import importlib
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest

from walking_noise import models
from walking_noise.models import architectures
from walking_noise.noise import noise_kinds

NEW_MODELS = Path(__file__).parent / "new_models"
AddFile = Callable[[ModuleType, str, str], None]


def forget_parts() -> None:
    """Clear the caches, so that noise kinds and models are searched again."""
    noise_kinds.cache_clear()
    models.models.cache_clear()
    models.summary.cache_clear()
    importlib.invalidate_caches()


@contextmanager
def new_models() -> Iterator[None]:
    """Add the modules in :data:`NEW_MODELS` to the package of models within the block."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(architectures, "__path__", [*architectures.__path__, str(NEW_MODELS)])
        forget_parts()
        yield
    for file in NEW_MODELS.glob("*.py"):
        sys.modules.pop(f"{architectures.__name__}.{file.stem}", None)
    forget_parts()


@pytest.fixture
def add_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AddFile]:
    """A function that adds a module to a package."""
    added: list[str] = []

    def add(package: ModuleType, name: str, code: str) -> None:
        folder = tmp_path / package.__name__
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.py").write_text(textwrap.dedent(code))
        if str(folder) not in package.__path__:
            monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])
        added.append(f"{package.__name__}.{name}")
        forget_parts()

    yield add
    monkeypatch.undo()
    for module in added:
        sys.modules.pop(module, None)
    forget_parts()
