"""Registry of noise kinds, models and data sets.

The shipped ones are one module each, found by its place in a package. Objects of a user's own project are named
``package.module:name``.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import re
import sys
from types import ModuleType
from typing import Any

from walking_noise.errors import reason

OWN = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
"""Name of an object in a project of the user's own: ``package.module:name``."""


def is_own(name: str) -> bool:
    """Whether a name is that of an object in a project of the user's own."""
    return OWN.fullmatch(name) is not None


def load_own(name: str) -> Any:
    """The object ``package.module:name``.

    The module is searched as by ``import``, then in the working directory. Raise ValueError, with a text of one line,
    if the module cannot be imported or has no such object.
    """
    module_name, _, attribute = name.partition(":")
    folder = os.getcwd()  # noqa: PTH109 - entries of sys.path are strings
    if folder not in sys.path and "" not in sys.path:
        sys.path.append(folder)
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:
        raise ValueError(
            f"the module {module_name} cannot be imported ({reason(error)}); run the command in the folder of the "
            "project, or put that folder on PYTHONPATH"
        ) from error
    try:
        return getattr(module, attribute)
    except AttributeError:
        raise ValueError(f"the module {module_name} ({module.__file__}) has no {attribute}") from None


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
