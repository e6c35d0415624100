"""Which source files ``seml add`` keeps with the runs."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

import torch

import walking_noise


def import_all_sources() -> None:
    """Import every module of :mod:`walking_noise`, so that ``seml add`` keeps all of them.

    SEML imports the executable and keeps the source of what is then imported from the project's folder; workers run
    from these copies. Modules that are only imported when they are needed, such as a data set's, would be missing.

    ``torch.ops`` and ``torch.classes`` are objects that stand in for modules. Their ``__file__`` is a bare name, which
    SEML would take for a file of the project; they get the path of a file of torch's.
    """
    for module in pkgutil.walk_packages(walking_noise.__path__, "walking_noise."):
        importlib.import_module(module.name)
    for stand_in in (torch.ops, torch.classes):
        stand_in.__file__ = str(Path(torch.__file__).with_name(stand_in.__file__))
