"""Parts that are found by the file they stand in: noise kinds, models, data sets."""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType
from typing import Any


def discover(package: ModuleType, attribute: str) -> dict[str, Any]:
    """Import every module of ``package`` and collect the objects called ``attribute``, by their ``name``.

    Modules without that attribute are passed over. Two objects of one name are an error.
    """
    found: dict[str, Any] = {}
    for module_info in sorted(pkgutil.iter_modules(package.__path__), key=lambda info: info.name):
        module = importlib.import_module(f"{package.__name__}.{module_info.name}")
        part = getattr(module, attribute, None)
        if part is None:
            continue
        if part.name in found:
            raise ValueError(f"{package.__name__} has two parts named {part.name!r}")
        found[part.name] = part
    return found
