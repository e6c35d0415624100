"""Registry of noise kinds, models and data sets: one module each, found by its place in a package."""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType
from typing import Any


def discover(package: ModuleType, attribute: str) -> dict[str, Any]:
    """The objects that the modules of ``package`` define as ``attribute``, by ``name``; see :func:`find_modules`."""
    return {name: getattr(module, attribute) for name, module in find_modules(package, attribute).items()}


def find_modules(package: ModuleType, attribute: str) -> dict[str, ModuleType]:
    """Import every module of ``package``; return those that define ``attribute``, by the ``name`` of its value.

    Raise ValueError if two modules define objects of the same name.
    """
    modules: dict[str, ModuleType] = {}
    for module_info in sorted(pkgutil.iter_modules(package.__path__), key=lambda info: info.name):
        module = importlib.import_module(f"{package.__name__}.{module_info.name}")
        entry = getattr(module, attribute, None)
        if entry is None:
            continue
        if entry.name in modules:
            raise ValueError(f"{package.__name__}: two modules define the name {entry.name!r}; rename one of them")
        modules[entry.name] = module
    return modules
