"""Registry of noise kinds, models and data sets: one module each, found by its place in a package."""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType
from typing import Any


def discover(package: ModuleType, attribute: str) -> dict[str, Any]:
    """Import every module of ``package``; return the objects that the modules define as ``attribute``, by ``name``.

    Modules without that attribute are skipped.

    Raises
    ------
    ValueError
        Two modules define objects of the same name.
    """
    entries: dict[str, Any] = {}
    for module_info in sorted(pkgutil.iter_modules(package.__path__), key=lambda info: info.name):
        module = importlib.import_module(f"{package.__name__}.{module_info.name}")
        entry = getattr(module, attribute, None)
        if entry is None:
            continue
        if entry.name in entries:
            raise ValueError(f"{package.__name__}: two modules define the name {entry.name!r}; rename one of them")
        entries[entry.name] = entry
    return entries
