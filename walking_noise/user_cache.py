"""Folder for files that can be made or downloaded again."""

from __future__ import annotations

import os
from pathlib import Path


def user_cache() -> Path:
    """The folder ``walking_noise`` in the user's cache directory."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    return cache.expanduser().absolute() / "walking_noise"
