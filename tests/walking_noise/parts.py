"""What the tests of new parts share."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from walking_noise import models
from walking_noise.noise import noise_kinds

NEW_MODELS = Path(__file__).parent / "new_models"


def forget_parts() -> None:
    """Let noise kinds and models be looked for again."""
    noise_kinds.cache_clear()
    models.models.cache_clear()
    models.summary.cache_clear()
    importlib.invalidate_caches()


@contextmanager
def new_models() -> Iterator[None]:
    """The files of :data:`NEW_MODELS`, as if they lay beside those of the papers' models."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "__path__", [*models.__path__, str(NEW_MODELS)])
        forget_parts()
        yield
    for file in NEW_MODELS.glob("*.py"):
        sys.modules.pop(f"walking_noise.models.{file.stem}", None)
    forget_parts()
