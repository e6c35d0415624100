"""Helpers of the tests that add models and kinds of noise."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from walking_noise import models
from walking_noise.models import architectures
from walking_noise.noise import noise_kinds

NEW_MODELS = Path(__file__).parent / "new_models"


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
